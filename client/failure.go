package client

import (
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// errorDomain is the domain of every google.rpc.ErrorInfo that quash sends.
const errorDomain = "quash"

// FailureInfo describes an error of Revoke. After several attempts it describes the last one,
// except for State.
type FailureInfo struct {
	Code codes.Code
	// Message is for people. It contains no part of the token. With
	// ERROR_REASON_INVALID_REQUEST it states every violation.
	Message string
	// Reason is why the call failed. It is ERROR_REASON_UNSPECIFIED if the error does not
	// come from quash, for example because quash was not reached, or if a newer quash sent
	// a reason that this client does not know.
	Reason quashv1.ErrorReason
	// State says what the whole call, with all its attempts, did to the token. It is never
	// REVOCATION_STATE_UNSPECIFIED.
	State quashv1.RevocationState
	// Retryable is whether a retry of the same call can help. RetryDelay is how long to
	// wait before it; 0 means that the caller chooses the delay.
	Retryable  bool
	RetryDelay time.Duration
	// CorrelationID is SlashID's id for the request, which SlashID's support asks for. It
	// is empty if SlashID sent none.
	CorrelationID string
	// Violations are the rules that the request breaks. They are set with
	// ERROR_REASON_INVALID_REQUEST.
	Violations []Violation

	// Consistency is the requested consistency, or the default. It is
	// CONSISTENCY_UNSPECIFIED if quash did not read the request, or found it invalid.
	Consistency quashv1.Consistency
	// Timeout is the timeout that quash sent to SlashID, in whole seconds from 1 s to
	// 120 s; 0 if quash did not call SlashID.
	Timeout time.Duration
	// Elapsed is how long quash worked on the call; 0 if that is not known.
	Elapsed time.Duration
	// Attempts is the number of attempts of quash to call SlashID.
	Attempts int
	// UpstreamStatus is the HTTP status of the last upstream response, 100 to 599; 0 if
	// there was none.
	UpstreamStatus int
}

// Violation is a rule that a request breaks.
type Violation struct {
	// Field is the name of a field of RevokeRequest or of a header.
	Field string
	// Description is the rule. It does not quote the value.
	Description string
}

// Failure reads an error of Revoke, which may be wrapped. It returns false if and only if err
// is nil, so that no error can be mistaken for success.
func Failure(err error) (*FailureInfo, bool) {
	if err == nil {
		return nil, false
	}
	st, ok := status.FromError(err)
	if !ok { // for example from an interceptor of the program
		st = status.FromContextError(err)
	}
	f := read(st)
	if f.State == stateUnspecified {
		f.State = stateUnknown // the error does not come from a Client
	}
	return f, true
}

// read reads a status. State is unspecified if the status has none.
func read(st *status.Status) *FailureInfo {
	f := &FailureInfo{
		Code:    st.Code(),
		Message: st.Message(),
		// The details of quash's own errors override this.
		Retryable: st.Code() == codes.Unavailable,
	}
	own, delayed := false, false // whether quash made the error; whether it has a delay
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			own = detail.GetDomain() == errorDomain
			if own {
				f.Reason = quashv1.ErrorReason(quashv1.ErrorReason_value["ERROR_REASON_"+detail.GetReason()])
			}
		case *quashv1.RevokeFailure:
			f.setRevokeFailure(detail)
		case *errdetails.RequestInfo:
			f.CorrelationID = detail.GetRequestId()
		case *errdetails.RetryInfo:
			delayed, f.RetryDelay = true, max(detail.GetRetryDelay().AsDuration(), 0)
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				f.Violations = append(f.Violations, Violation{v.GetField(), v.GetDescription()})
			}
		}
	}
	if own || delayed {
		f.Retryable = delayed
	}
	return f
}

func (f *FailureInfo) setRevokeFailure(detail *quashv1.RevokeFailure) {
	f.State = detail.GetState()
	f.Consistency = detail.GetConsistency()
	f.Timeout = detail.GetTimeout().AsDuration()
	f.Elapsed = detail.GetElapsed().AsDuration()
	f.Attempts = int(detail.GetAttempts())
	f.UpstreamStatus = int(detail.GetUpstreamStatus())
}

// stated is an error whose status has a RevokeFailure with a state, as quash's errors do.
type stated struct {
	error

	status *status.Status
}

func (e stated) GRPCStatus() *status.Status { return e.status }

func (e stated) Unwrap() error { return e.error }

// withState returns err with state in its RevokeFailure. It adds a RevokeFailure if err has
// none.
func withState(err error, state quashv1.RevocationState) error {
	st := status.Convert(err).Proto()
	failure := &quashv1.RevokeFailure{}
	st.Details = slices.DeleteFunc(st.GetDetails(), func(detail *anypb.Any) bool {
		return detail.MessageIs(failure) && detail.UnmarshalTo(failure) == nil
	})
	failure.State = state
	detail, marshalErr := anypb.New(failure)
	if marshalErr != nil { // unreachable: a RevokeFailure can be marshalled
		return err
	}
	st.Details = append(st.Details, detail)
	return stated{err, status.FromProto(st)}
}
