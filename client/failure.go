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

// FailureInfo is what an error of Revoke says. Where the client asked several times it
// is of the last answer, except for State.
type FailureInfo struct {
	Code codes.Code
	// Message is for people. Neither quash nor gRPC puts anything of the token in it.
	Message string
	// Reason is why quash could not do it; ERROR_REASON_UNSPECIFIED where the error is
	// not quash's, but was made on the way to it, and where quash is newer than the client
	// and has a reason that the client does not know.
	Reason quashv1.ErrorReason
	// State says whether the token is dead by this call. It is never
	// REVOCATION_STATE_UNSPECIFIED, and covers all that the client and quash did in the
	// course of the call.
	State quashv1.RevocationState
	// Retryable is whether a repetition of the same call can help, and RetryDelay how
	// long to wait before it; 0 leaves that to the caller.
	Retryable  bool
	RetryDelay time.Duration
	// CorrelationID is SlashID's id for the request, which its support asks for; empty
	// where SlashID did not answer.
	CorrelationID string
	// Violations are the rules that the request breaks, with ERROR_REASON_INVALID_REQUEST.
	Violations []Violation

	// Consistency is what was waited for; CONSISTENCY_UNSPECIFIED where quash did not
	// get so far.
	Consistency quashv1.Consistency
	// Timeout is what SlashID was given, whole seconds from 1 s to 120 s; 0 where it was
	// not asked.
	Timeout time.Duration
	// Elapsed is how long quash worked on it; 0 where that is not known.
	Elapsed time.Duration
	// Attempts is how often quash asked SlashID.
	Attempts int
	// UpstreamStatus is the HTTP status that quash was answered with, 100 to 599; 0
	// where it was not.
	UpstreamStatus int
}

// Violation is one rule that a request breaks.
type Violation struct {
	// Field is the path of a field of RevokeRequest, or the name of a header.
	Field string
	// Description says what would be right. It quotes no value.
	Description string
}

// Failure reads an error of Revoke, also one that has been wrapped. It reports whether
// there is one: false for nil, and for nothing else, so that no error is ever taken for
// a token that is dead.
func Failure(err error) (*FailureInfo, bool) {
	if err == nil {
		return nil, false
	}
	st, ok := status.FromError(err)
	if !ok { // of an interceptor of the caller's, for instance
		st = status.FromContextError(err)
	}
	f := read(st)
	if f.State == stateUnspecified {
		f.State = stateUnknown // it has not been through a Client
	}
	return f, true
}

// read is Failure of a status. The state is unspecified where the status has none.
func read(st *status.Status) *FailureInfo {
	f := &FailureInfo{
		Code:    st.Code(),
		Message: st.Message(),
		// Unless quash, which knows better, has a say.
		Retryable: st.Code() == codes.Unavailable,
	}
	own, delayed := false, false // of quash's own making; with a delay
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

// stated is an error whose status says what became of the token, as quash's own do.
type stated struct {
	error

	status *status.Status
}

func (e stated) GRPCStatus() *status.Status { return e.status }

func (e stated) Unwrap() error { return e.error }

// withState returns err with state in its RevokeFailure, which it is given if it has
// none.
func withState(err error, state quashv1.RevocationState) error {
	st := status.Convert(err).Proto()
	failure := &quashv1.RevokeFailure{}
	st.Details = slices.DeleteFunc(st.GetDetails(), func(detail *anypb.Any) bool {
		return detail.MessageIs(failure) && detail.UnmarshalTo(failure) == nil
	})
	failure.State = state
	detail, marshalErr := anypb.New(failure)
	if marshalErr != nil { // which it can be
		return err
	}
	st.Details = append(st.Details, detail)
	return stated{err, status.FromProto(st)}
}
