package service

import (
	"log/slog"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// ErrorDomain is the domain of every google.rpc.ErrorInfo that quash sends.
const ErrorDomain = "quash"

// Error is the error of every call that did not succeed. Callers receive its status. The
// cause is for operators, and only errors.Unwrap returns it.
type Error struct {
	row     *row
	state   quashv1.RevocationState
	summary Summary
	// violations are set for invalidRequest only.
	violations []Violation
	// retryDelay is the delay in RetryInfo. It is sent only if the row has one.
	retryDelay time.Duration
	cause      error
}

// Violation is one rule that a request breaks. It never quotes the value, because the
// value may be a token.
type Violation struct {
	// Field is the name of a field of RevokeRequest, the name of a header in lower case,
	// or "body", "method", "path" or "content-type".
	Field string
	// Description is the rule: what the field must be.
	Description string
}

// String returns "field: rule", the form in which callers read a violation.
func (v Violation) String() string { return v.Field + ": " + v.Description }

// InvalidRequest returns the error for a request that breaks rules of the API. Its text
// states every violation.
func InvalidRequest(violations ...Violation) *Error {
	e := newError(invalidRequest)
	e.violations = violations
	return e
}

// CallerNotAllowed returns the error for a caller that is not allowed to call. The cause
// names the caller, for the log.
func CallerNotAllowed(cause error) *Error {
	e := newError(callerNotAllowed)
	e.cause = cause
	return e
}

// Overloaded returns the error for a call that exceeds a limit on calls or requests.
func Overloaded() *Error { return newError(overloaded) }

// CallerCancelled returns the error for a call that was cancelled before its request was
// read.
func CallerCancelled() *Error {
	e := newError(callerCancelled)
	e.state = stateNotApplied
	return e
}

// Internal returns the error for a defect in quash. Callers do not receive the cause.
func Internal(cause error) *Error {
	e := newError(internalDefect)
	e.cause = cause
	return e
}

// TookSince sets RevokeFailure.elapsed to the time since begun.
func (e *Error) TookSince(begun time.Time) { e.summary.Elapsed = time.Since(begun) }

// newError returns an error with the row of o in the outcome table.
func newError(o outcome) *Error {
	row := &outcomes[o]
	return &Error{row: row, state: row.state, retryDelay: row.retryDelay}
}

// Error returns the message of the status, which callers see.
func (e *Error) Error() string {
	if len(e.violations) == 0 {
		return e.row.text
	}
	texts := make([]string, 0, len(e.violations))
	for _, v := range e.violations {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the cause, or nil if there is none. Its text must not reach callers.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status with its details. grpc-go calls it.
func (e *Error) GRPCStatus() *status.Status {
	details := []protoadapt.MessageV1{
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: e.Reason(), Domain: ErrorDomain}),
		protoadapt.MessageV1Of(e.failure()),
	}
	if len(e.violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Description: v.Description,
			})
		}
		details = append(details, bad)
	}
	if id := e.summary.CorrelationID; id != "" {
		details = append(details, &errdetails.RequestInfo{RequestId: id})
	}
	if delay, ok := e.Pushback(); ok {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	st := status.New(e.row.code, e.Error())
	detailed, err := st.WithDetails(details...)
	if err != nil {
		// Unreachable: all the details can be marshalled.
		return st
	}
	return detailed
}

// failure returns the detail that describes the revocation.
func (e *Error) failure() *quashv1.RevokeFailure {
	failure := &quashv1.RevokeFailure{
		State:          e.state,
		Consistency:    e.summary.Consistency,
		Attempts:       int32(e.summary.Attempts),       //nolint:gosec // at most maxAttempts
		UpstreamStatus: int32(e.summary.UpstreamStatus), //nolint:gosec // three digits
	}
	if e.summary.Attempts > 0 {
		failure.Timeout = durationpb.New(e.summary.Timeout)
	}
	if e.summary.Elapsed > 0 {
		failure.Elapsed = durationpb.New(e.summary.Elapsed)
	}
	return failure
}

// Code returns the status code.
func (e *Error) Code() codes.Code { return e.row.code }

// Reason returns the name of the ErrorReason, without its prefix.
func (e *Error) Reason() string { return reasonName(e.row.reason) }

// State returns the name of the RevocationState, without its prefix.
func (e *Error) State() string { return stateName(e.state) }

func reasonName(r quashv1.ErrorReason) string {
	return strings.TrimPrefix(r.String(), "ERROR_REASON_")
}

func stateName(s quashv1.RevocationState) string {
	return strings.TrimPrefix(s.String(), "REVOCATION_STATE_")
}

func consistencyName(c quashv1.Consistency) string {
	return strings.TrimPrefix(c.String(), "CONSISTENCY_")
}

// OutcomeName returns the name of an outcome, without its prefix.
func OutcomeName(o quashv1.Outcome) string { return strings.TrimPrefix(o.String(), "OUTCOME_") }

// Pushback returns how long a caller should wait before it retries, and whether a retry can
// help at all. The delay is in whole seconds, so that RetryInfo, the trailer and the header
// Retry-After can all state the same one.
func (e *Error) Pushback() (time.Duration, bool) {
	return (e.retryDelay + time.Second - 1).Truncate(time.Second), e.row.retryDelay > 0
}

// LogLevel returns Info for errors that the caller causes, and Warn for errors that may
// need the operator.
func (e *Error) LogLevel() slog.Level {
	switch e.Code() {
	case codes.InvalidArgument, codes.Canceled, codes.Unauthenticated, codes.PermissionDenied:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// Attrs returns the error's log attributes. They include the cause, and never a token.
func (e *Error) Attrs() []slog.Attr {
	attrs := append([]slog.Attr{
		slog.String("code", e.Code().String()),
		slog.String("reason", e.Reason()),
		slog.String("state", e.State()),
	}, e.summary.Attrs()...)
	if e.cause != nil {
		attrs = append(attrs, slog.String("cause", e.cause.Error()))
	}
	return attrs
}
