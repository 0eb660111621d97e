package bulk

import (
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Outcome is what became of a token, in the words of reports and journals.
type Outcome string

// The outcomes that there are.
const (
	NotApplied Outcome = "not_applied" // it failed, and certainly nothing was done
	NotAsked   Outcome = "not_asked"   // nothing was sent yet
	NoToken    Outcome = "no_token"    // the line has none
	Unknown    Outcome = "unknown"     // it was sent, and may be dead or not
	InProgress Outcome = "in_progress" // SlashID has accepted it, and goes on
	Rejected   Outcome = "rejected"    // SlashID does not take it for a valid token
	Dead       Outcome = "dead"        // it certainly cannot be used any more
)

// outcomes are in the order of reports: first those that need attention.
var outcomes = []Outcome{NotApplied, NotAsked, NoToken, Unknown, InProgress, Rejected, Dead}

// label is the outcome for people.
func (o Outcome) label() string { return strings.ReplaceAll(string(o), "_", " ") }

// Result is an outcome, and what made it so: REVOKED or ALREADY_INVALID of a dead token,
// the problem of a line without a token, the error's reason otherwise.
type Result struct {
	Outcome Outcome `json:"outcome,omitempty"`
	Why     string  `json:"why,omitempty"`
}

const (
	revoked        = "REVOKED"
	alreadyInvalid = "ALREADY_INVALID"
	tokenRejected  = "TOKEN_REJECTED"
)

// maybeApplied reports whether the token may be dead, and that is not certain.
func (r Result) maybeApplied() bool { return r.Outcome == Unknown || r.Outcome == InProgress }

// settled reports whether no call can tell more. SlashID rejects a token that it has
// revoked somewhere: with consistency all_regions it never says when it is dead in all.
func (r Result) settled() bool {
	switch r.Outcome {
	case Dead, Rejected, NoToken:
		return true
	case InProgress:
		return r.Why == tokenRejected
	case NotApplied, NotAsked, Unknown:
	}
	return false
}

// sent is what is known of a token that was sent, until there is an answer.
func (r Result) sent() Result {
	if r.maybeApplied() {
		return r
	}
	return Result{Outcome: Unknown}
}

// Answer is what came of one call.
type Answer struct {
	// Success is what a call that succeeded says. The other fields are of one that failed.
	Success quashv1.Outcome
	Code    codes.Code
	Reason  quashv1.ErrorReason
	State   quashv1.RevocationState
	// RetryDelay is how long the server asks to wait; 0 where it does not say.
	RetryDelay time.Duration
	// Message says more, for people.
	Message string
}

// Result is what an answer says of a token that was never sent before.
func (a Answer) Result() Result { return a.after(Result{Outcome: NotAsked}, false) }

// after is what is known of the token after the answer, where before was known until then.
// What an earlier attempt may have done is not undone by what this one did not do: if
// SlashID rejects the token then, the earlier one has revoked it. In all regions? That it
// does not say.
func (a Answer) after(before Result, allRegions bool) Result {
	maybeApplied := before.maybeApplied()
	switch {
	case a.Success == quashv1.Outcome_OUTCOME_REVOKED:
		return Result{Dead, revoked}
	case a.Success == quashv1.Outcome_OUTCOME_ALREADY_INVALID:
		return Result{Dead, alreadyInvalid}
	case a.rejected() && maybeApplied && allRegions:
		return Result{InProgress, tokenRejected}
	case a.rejected() && maybeApplied:
		return Result{Dead, alreadyInvalid}
	case a.rejected():
		return Result{Rejected, tokenRejected}
	case a.State == quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS, before.Outcome == InProgress:
		return Result{InProgress, a.Cause()}
	case a.State == quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED && !maybeApplied:
		return Result{NotApplied, a.Cause()}
	default:
		return Result{Unknown, a.Cause()}
	}
}

func (a Answer) rejected() bool {
	return a.Reason == quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED
}

// hopeless reports whether the same call would always be answered the same.
func (a Answer) hopeless() bool {
	return a.Reason == quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST
}

// throughToSlashID reports whether calls get through: the answer is about this token, and
// another token may have another one.
func (a Answer) throughToSlashID() bool {
	return a.Code == codes.OK || a.rejected() || a.hopeless() ||
		a.Reason == quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT
}

// tooFast reports whether calls come too fast, for SlashID or for quash.
func (a Answer) tooFast() bool { return a.Code == codes.ResourceExhausted }

// Cause is the error's reason, or gRPC's code where there is none; "" of a success.
func (a Answer) Cause() string {
	switch {
	case a.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED:
		return strings.TrimPrefix(a.Reason.String(), "ERROR_REASON_")
	case a.Code == codes.OK:
		return ""
	}
	return CodeName(a.Code)
}

// cause adds what gRPC says, where the error has no reason of quash's: the call may not
// even have reached it.
func (a Answer) cause() string {
	if a.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED || a.Message == "" {
		return a.Cause()
	}
	return a.Cause() + ": " + a.Message
}

// CodeName is the code as gRPC's specification writes it, such as DEADLINE_EXCEEDED.
func CodeName(code codes.Code) string { return rpccode.Code(code).String() } //nolint:gosec // there are 17
