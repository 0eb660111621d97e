package service

import (
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// outcome is one way for a call, or for an attempt, to end: a row of the outcome table.
type outcome int

const (
	revoked outcome = iota + 1
	alreadyInvalid
	tokenRejected
	ownCredentialRejected
	callerUnauthenticated
	callerForbidden
	consistencyPending
	consistencyUnknown
	rateLimited
	upstreamUnavailable
	upstreamUnexpected
	neverConnected
	connectionLost
	noAnswer
	deadlineTooShort
	callerCancelled
	overloaded
	circuitOpen
	shuttingDown
	callerNotAllowed
	invalidRequest
	internalDefect
)

// row is what callers learn of an outcome.
type row struct {
	// when and do are for docs/outcomes.md: what happened, and what to do.
	when, do string

	// code is OK exactly for the rows that have an outcome.
	code    codes.Code
	outcome quashv1.Outcome

	reason quashv1.ErrorReason
	// state is what became of the token, on the premise that something was sent:
	// while nothing was, UNKNOWN is NOT_APPLIED.
	state quashv1.RevocationState
	// retried is whether quash itself tries again, within the time that is left.
	retried bool
	// text is the status message. It is constant, so that no part of a request or of an
	// upstream response can get into it. Violations replace it, see Error.Error.
	text string
	// retryDelay is what RetryInfo says unless upstream said better; 0 where a
	// repetition of the call cannot help.
	retryDelay time.Duration

	// result is what metrics call an attempt that ended like this. Calls have outcomes
	// of their own, see ofCall.
	result string
}

const (
	stateNotApplied = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	stateInProgress = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
	stateUnknown    = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

// outcomes is the outcome table: every way for a call to end, and the one place
// that says what callers learn then.
var outcomes = [...]row{
	revoked: {
		when:    "204",
		do:      "The token is dead, at the consistency in the answer. Done.",
		outcome: quashv1.Outcome_OUTCOME_REVOKED,
		result:  "Revoked",
	},
	alreadyInvalid: {
		when:    "400 in SlashID's envelope, with `allow_invalid`, or after an attempt of this call that may have been applied",
		do:      "The token is dead, or never was alive. Done.",
		outcome: quashv1.Outcome_OUTCOME_ALREADY_INVALID,
	},
	tokenRejected: {
		when:   "400 in SlashID's envelope",
		do:     "The token cannot be used, but this call did not see to it. Nothing, or ask with `allow_invalid` next time.",
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID rejected the token: it is malformed, foreign, expired or already revoked",
		result: "TokenRejected",
	},
	ownCredentialRejected: {
		when:   "401 or 403 for quash's own key",
		do:     "The operator must replace quash's key. Then repeat.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the credentials that quash is configured with",
	},
	callerUnauthenticated: {
		when:   "401 for forwarded credentials",
		do:     "Fix the credentials, then repeat.",
		code:   codes.Unauthenticated,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the caller's credentials",
		result: "Unauthorized",
	},
	callerForbidden: {
		when:   "403 for forwarded credentials",
		do:     "Fix the credentials, then repeat.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "the caller's credentials do not permit this at SlashID",
		result: "Forbidden",
	},
	consistencyPending: {
		when:   "408 in SlashID's envelope",
		do:     "Nothing: SlashID goes on by itself. Wait where it matters.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateInProgress,
		text:   "the revocation did not reach the asked-for consistency in time; SlashID goes on with it",
		result: "InProgress",
	},
	consistencyUnknown: {
		when:   "408 without the envelope",
		do:     "Repeat with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateUnknown,
		text:   "a proxy in front of SlashID gave up waiting for its answer",
		result: "OpaqueTimeout",
	},
	rateLimited: {
		when:       "429",
		do:         "Repeat after the delay.",
		code:       codes.ResourceExhausted,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_RATE_LIMITED,
		state:      stateNotApplied,
		retried:    true,
		text:       "SlashID is limiting the rate of requests",
		retryDelay: time.Second,
		result:     "RateLimited",
	},
	upstreamUnavailable: {
		when:       "500, 502, 503 or 504",
		do:         "Repeat with `allow_invalid` after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNAVAILABLE,
		state:      stateUnknown,
		retried:    true,
		text:       "SlashID is unavailable",
		retryDelay: time.Second,
		result:     "Unavailable",
	},
	upstreamUnexpected: {
		when:   "any other status, redirects included, and 400 without the envelope",
		do:     "Check what stands between quash and SlashID. Then repeat with `allow_invalid`.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNEXPECTED_RESPONSE,
		state:  stateUnknown,
		text:   "upstream gave an answer that is not SlashID's",
		result: "Unexpected",
	},
	neverConnected: {
		when:       "no connection: DNS, refused, TLS",
		do:         "Repeat after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateNotApplied,
		retried:    true,
		text:       "SlashID cannot be reached",
		retryDelay: time.Second,
		result:     "NotConnected",
	},
	connectionLost: {
		when:       "the connection was lost after the request had gone out",
		do:         "Repeat with `allow_invalid` after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateUnknown,
		retried:    true,
		text:       "the connection to SlashID was lost before it answered",
		retryDelay: time.Second,
		result:     "ConnectionLost",
	},
	noAnswer: {
		when:   "no answer by the time it was due; quash goes on waiting for it, and logs it",
		do:     "Repeat with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_TIMEOUT,
		state:  stateUnknown,
		text:   "SlashID did not answer in time",
		result: "NoAnswer",
	},
	deadlineTooShort: {
		when:   "the caller's deadline leaves no time",
		do:     "Repeat with a longer deadline.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT,
		state:  stateNotApplied,
		text:   "the deadline leaves no time to call SlashID and report its answer",
	},
	callerCancelled: {
		when:   "the caller cancelled or went away; what was sent is finished in the background",
		do:     "Repeat with `allow_invalid` to know.",
		code:   codes.Canceled,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CANCELLED,
		state:  stateUnknown,
		text:   "the caller cancelled",
		result: "Cancelled",
	},
	overloaded: {
		when:       "too many calls in flight, or too many requests that are not read yet",
		do:         "Repeat after the delay.",
		code:       codes.ResourceExhausted,
		reason:     quashv1.ErrorReason_ERROR_REASON_OVERLOADED,
		state:      stateNotApplied,
		text:       "too many calls in flight",
		retryDelay: time.Second,
	},
	circuitOpen: {
		when:       "SlashID has been failing: the circuit breaker is open",
		do:         "Repeat after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CIRCUIT_OPEN,
		state:      stateNotApplied,
		text:       "SlashID has been failing, and is given time to recover",
		retryDelay: time.Second,
	},
	shuttingDown: {
		when:       "this instance is shutting down",
		do:         "Repeat after the delay: another instance answers.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN,
		state:      stateNotApplied,
		text:       "quash is shutting down",
		retryDelay: time.Second,
	},
	callerNotAllowed: {
		when:   "the caller's certificate is not on the list of allowed callers",
		do:     "The operator must put the caller on the list. Then repeat.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED,
		state:  stateNotApplied,
		text:   "the caller is not on the list of those that may call",
	},
	invalidRequest: {
		when:   "the request breaks a rule",
		do:     "Fix the request.",
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		state:  stateNotApplied,
		text:   "the request breaks a rule of the API",
	},
	internalDefect: {
		when:   "a defect of quash's own",
		do:     "Repeat with `allow_invalid`, and report it to the operator of quash.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_INTERNAL,
		state:  stateUnknown,
		text:   "internal error",
		result: "Panic",
	},
}

// outcomeOf is how an attempt ended, with a result, or because its context did, for the
// given cause.
func outcomeOf(result slashid.Result, ended error) outcome {
	switch result.Status {
	case 0:
		switch {
		case errors.Is(ended, errNoAnswer):
			return noAnswer
		case ended != nil, errors.Is(result.Err, slashid.ErrNotSent):
			return callerCancelled
		case result.Sent:
			return connectionLost
		default:
			return neverConnected
		}
	case http.StatusNoContent:
		if result.Sent { // or it answers something else
			return revoked
		}
	case http.StatusBadRequest:
		if result.Sent && result.Envelope {
			return tokenRejected
		}
	case http.StatusUnauthorized:
		return callerUnauthenticated
	case http.StatusForbidden:
		return callerForbidden
	case http.StatusRequestTimeout:
		if result.Sent && result.Envelope {
			return consistencyPending
		}
		return consistencyUnknown
	case http.StatusTooManyRequests:
		return rateLimited
	case http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return upstreamUnavailable
	}
	return upstreamUnexpected
}

// ofCall is the outcome of a call whose last attempt ended like this. ownCredentials:
// they are quash's and not the caller's. invalidIsDead: a token that SlashID rejects is
// dead, which is what the caller wants to know, or has been revoked by this very call.
func (o outcome) ofCall(ownCredentials, invalidIsDead bool) outcome {
	switch {
	case o == tokenRejected && invalidIsDead:
		return alreadyInvalid
	case (o == callerUnauthenticated || o == callerForbidden) && ownCredentials:
		return ownCredentialRejected
	default:
		return o
	}
}

// OutcomeDoc is a row of the outcome table as docs/outcomes.md shows it.
type OutcomeDoc struct {
	When, Do string
	// Retried is whether quash itself tries again.
	Retried bool
	// Outcome is that of a success, without its prefix; Error that of a failure.
	Outcome string
	Error   *Error
}

// OutcomeDocs is the outcome table, for documentation.
func OutcomeDocs() []OutcomeDoc {
	var docs []OutcomeDoc
	for o := revoked; int(o) < len(outcomes); o++ {
		row := outcomes[o]
		doc := OutcomeDoc{When: row.when, Do: row.do, Retried: row.retried}
		if row.code == codes.OK {
			doc.Outcome = OutcomeName(row.outcome)
		} else {
			doc.Error = newError(o)
		}
		docs = append(docs, doc)
	}
	return docs
}
