package bulk

import (
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk/journal"
)

// Answer is what came of one call. A call that succeeded has an Outcome, one that failed
// has the rest.
type Answer struct {
	Outcome quashv1.Outcome
	Code    codes.Code
	Reason  quashv1.ErrorReason
	State   quashv1.RevocationState
	// RetryDelay is how long the server wants to be left alone; 0 where it did not say.
	RetryDelay time.Duration
	// Message says more, for people.
	Message string
}

// verdict is what is known of the token after the answer, where before was known until
// then. What an earlier attempt may have done is not undone by what this one did not do.
func (a Answer) verdict(before journal.Verdict) journal.Verdict {
	maybeApplied := before == journal.InProgress || before == journal.Unknown
	switch {
	case a.Outcome == quashv1.Outcome_OUTCOME_REVOKED:
		return journal.Revoked
	case a.Outcome == quashv1.Outcome_OUTCOME_ALREADY_INVALID:
		return journal.AlreadyInvalid
	case a.rejected() && maybeApplied:
		return journal.AlreadyInvalid
	case a.rejected():
		return journal.Rejected
	case a.State == quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS, before == journal.InProgress:
		return journal.InProgress
	case a.State == quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED && !maybeApplied:
		return journal.NotApplied
	default:
		return journal.Unknown
	}
}

func (a Answer) rejected() bool {
	return a.Reason == quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED
}

// through reports whether SlashID has looked at the token. Whatever it said of that, the
// next one may be asked about.
func (a Answer) through() bool {
	return a.Code == codes.OK || a.rejected() || a.hopeless() ||
		a.Reason == quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT
}

// hopeless reports whether the same call would be answered the same for ever.
func (a Answer) hopeless() bool {
	return a.Reason == quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST
}

// exhausted reports whether calls come too fast, for SlashID or for quash.
func (a Answer) exhausted() bool { return a.Code == codes.ResourceExhausted }

// charged reports whether the attempt counts against its line. Where nothing was done
// with the token, it is not the token that nothing could be done.
func (a Answer) charged() bool {
	return a.State != quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
}

// Kind is what became of a token that was asked about once.
func (a Answer) Kind() Kind {
	return groupOf(journal.Result{Verdict: a.verdict(journal.Pending), Reason: a.Reason, Code: a.Code}).Kind
}

// Cause is the reason, or gRPC's code where there is none.
func (a Answer) Cause() string { return cause(a.Reason, a.Code) }

// because is the cause, and of what quash gives no reason for, for it may not even have
// been reached, what gRPC says.
func (a Answer) because() string {
	if a.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED || a.Message == "" {
		return a.Cause()
	}
	return a.Cause() + ": " + a.Message
}

func cause(reason quashv1.ErrorReason, code codes.Code) string {
	if reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
	}
	if code == codes.OK {
		return ""
	}
	return CodeName(code)
}

// CodeName is the code as gRPC's specification writes it, such as DEADLINE_EXCEEDED.
func CodeName(code codes.Code) string { return rpccode.Code(code).String() } //nolint:gosec // there are 17
