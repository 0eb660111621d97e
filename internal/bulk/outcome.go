package bulk

import (
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Outcome is the outcome of a token, as reports and journals write it.
type Outcome string

// All outcomes.
const (
	NotApplied Outcome = "not_applied" // the call failed, and the token was certainly not revoked
	NotAsked   Outcome = "not_asked"   // the token was not sent yet
	NoToken    Outcome = "no_token"    // the line has no token
	Unknown    Outcome = "unknown"     // the token was sent, and may or may not be dead
	InProgress Outcome = "in_progress" // SlashID has accepted the revocation, and finishes it
	Rejected   Outcome = "rejected"    // SlashID does not accept the token as valid
	Dead       Outcome = "dead"        // the token can certainly no longer be used
)

// outcomes are in the order of reports: those that need attention come first.
var outcomes = []Outcome{NotApplied, NotAsked, NoToken, Unknown, InProgress, Rejected, Dead}

// label returns the outcome for text reports.
func (o Outcome) label() string { return strings.ReplaceAll(string(o), "_", " ") }

// Result is an outcome and its cause: REVOKED or ALREADY_INVALID for a dead token, the problem
// of a line without a token, else the reason of the error.
type Result struct {
	Outcome Outcome `json:"outcome,omitempty"`
	Why     string  `json:"why,omitempty"`
}

const (
	revoked        = "REVOKED"
	alreadyInvalid = "ALREADY_INVALID"
	tokenRejected  = "TOKEN_REJECTED"
)

// maybeApplied reports whether it is uncertain that the token is dead.
func (r Result) maybeApplied() bool { return r.Outcome == Unknown || r.Outcome == InProgress }

// settled reports whether further calls cannot change the result. SlashID rejects a token that
// it has revoked in one region. With consistency all_regions a call therefore never reports
// when a token in progress is dead in all regions.
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

// sent returns the result of a token that was sent, until there is an answer.
func (r Result) sent() Result {
	if r.maybeApplied() {
		return r
	}
	return Result{Outcome: Unknown}
}

// Answer is the result of one call.
type Answer struct {
	// Success is set by a call that succeeded, the other fields by a call that failed.
	Success quashv1.Outcome
	Code    codes.Code
	Reason  quashv1.ErrorReason
	State   quashv1.RevocationState
	// RetryDelay is how long the server asks to wait before a retry; 0 if it does not.
	RetryDelay time.Duration
	// Message explains the error to a user.
	Message string
}

// Result returns the result of a token that was never sent before.
func (a Answer) Result() Result { return a.after(Result{Outcome: NotAsked}, false) }

// after returns the result of a token after an answer; before is its result until then. An
// earlier attempt may have revoked the token even if this one did nothing: if SlashID rejects
// the token after such an attempt, that attempt has revoked it. SlashID does not say whether
// it did so in all regions.
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

// hopeless reports whether a retry always gets the same answer.
func (a Answer) hopeless() bool {
	return a.Reason == quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST
}

// throughToSlashID reports whether calls get through: the answer is about this token, so other
// tokens may get other answers.
func (a Answer) throughToSlashID() bool {
	return a.Code == codes.OK || a.rejected() || a.hopeless() ||
		a.Reason == quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT
}

// tooFast reports whether SlashID or quash limits the rate of calls.
func (a Answer) tooFast() bool { return a.Code == codes.ResourceExhausted }

// Cause returns the reason of the error, or the gRPC code without a reason; "" for a success.
func (a Answer) Cause() string {
	switch {
	case a.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED:
		return strings.TrimPrefix(a.Reason.String(), "ERROR_REASON_")
	case a.Code == codes.OK:
		return ""
	}
	return CodeName(a.Code)
}

// cause returns Cause, with gRPC's message if the error has no reason: then the call may not
// have reached quash.
func (a Answer) cause() string {
	if a.Reason != quashv1.ErrorReason_ERROR_REASON_UNSPECIFIED || a.Message == "" {
		return a.Cause()
	}
	return a.Cause() + ": " + a.Message
}

// CodeName returns the code as the gRPC specification writes it, such as DEADLINE_EXCEEDED.
func CodeName(code codes.Code) string { return rpccode.Code(code).String() } //nolint:gosec // there are 17
