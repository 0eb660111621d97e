package service

import (
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// outcome is a way in which a call or an attempt can end: a row of the outcome table.
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

// row describes an outcome.
type row struct {
	// when and do are texts of docs/outcomes.md: what happened, and what callers should do.
	when, do string

	// code is OK if and only if outcome is set.
	code    codes.Code
	outcome quashv1.Outcome

	reason quashv1.ErrorReason
	// state says what the call did to the token, if the token was sent. If it was not,
	// UNKNOWN becomes NOT_APPLIED.
	state quashv1.RevocationState
	// retried is whether quash retries an attempt with this outcome while time is left.
	retried bool
	// text is the status message. It is constant, so that no part of a request or of an
	// upstream response can get into it. Violations replace it, see Error.Error.
	text string
	// retryDelay is the delay in RetryInfo, unless the upstream response has a Retry-After.
	// It is 0 if a retry of the same call cannot help.
	retryDelay time.Duration

	// result is the label of an attempt with this outcome in metrics. It is empty for the
	// outcomes that only calls have, see ofCall.
	result string
}

const (
	stateNotApplied = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	stateInProgress = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
	stateUnknown    = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

// outcomes is the outcome table: every way in which a call can end, and what its caller
// receives then. docs/outcomes.md is generated from it.
var outcomes = [...]row{
	revoked: {
		when:    "204",
		do:      "The token is dead, at the consistency in the response. Done.",
		outcome: quashv1.Outcome_OUTCOME_REVOKED,
		result:  "Revoked",
	},
	alreadyInvalid: {
		when:    "400 in SlashID's envelope, with `allow_invalid` or after an earlier attempt of this call that may have been applied",
		do:      "The token cannot be used in this SlashID environment. Done.",
		outcome: quashv1.Outcome_OUTCOME_ALREADY_INVALID,
	},
	tokenRejected: {
		when:   "400 in SlashID's envelope",
		do:     "Nothing: the token cannot be used in this SlashID environment, though this call did not revoke it. Set `allow_invalid` if this should count as success. A token of another environment stays alive.",
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID rejected the token: it is malformed, foreign, expired or already revoked",
		result: "TokenRejected",
	},
	ownCredentialRejected: {
		when:   "401 or 403 for quash's own key",
		do:     "The operator of quash must replace the key. Then retry.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID rejected the API key that quash is configured with",
	},
	callerUnauthenticated: {
		when:   "401 for forwarded credentials",
		do:     "Fix the credentials, then retry.",
		code:   codes.Unauthenticated,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID rejected the caller's credentials",
		result: "Unauthorized",
	},
	callerForbidden: {
		when:   "403 for forwarded credentials",
		do:     "Fix the credentials, then retry.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID does not permit this call with the caller's credentials",
		result: "Forbidden",
	},
	consistencyPending: {
		when:   "408 in SlashID's envelope",
		do:     "Do not retry: SlashID completes the revocation. Wait if it matters to you when.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateInProgress,
		text:   "the requested consistency was not reached in time; SlashID continues the revocation",
		result: "InProgress",
	},
	consistencyUnknown: {
		when:   "408 without the envelope",
		do:     "Retry with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateUnknown,
		text:   "a proxy in front of SlashID timed out",
		result: "OpaqueTimeout",
	},
	rateLimited: {
		when:       "429",
		do:         "Retry after the delay.",
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
		do:         "Retry with `allow_invalid` after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNAVAILABLE,
		state:      stateUnknown,
		retried:    true,
		text:       "SlashID is unavailable",
		retryDelay: time.Second,
		result:     "Unavailable",
	},
	upstreamUnexpected: {
		when:   "any other status, a redirect for example, or 400 without the envelope",
		do:     "The operator of quash must check what is between quash and SlashID. Then retry with `allow_invalid`.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNEXPECTED_RESPONSE,
		state:  stateUnknown,
		text:   "the upstream response is not one of SlashID's",
		result: "Unexpected",
	},
	neverConnected: {
		when:       "no connection: DNS failed, the connection was refused, or TLS failed",
		do:         "Retry after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateNotApplied,
		retried:    true,
		text:       "SlashID cannot be reached",
		retryDelay: time.Second,
		result:     "NotConnected",
	},
	connectionLost: {
		when:       "the connection was lost after the request was sent",
		do:         "Retry with `allow_invalid` after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateUnknown,
		retried:    true,
		text:       "the connection to SlashID was lost before it answered",
		retryDelay: time.Second,
		result:     "ConnectionLost",
	},
	noAnswer: {
		when:   "no upstream response when the answer to the caller was due; quash waits for it in the background, and logs the outcome",
		do:     "Retry with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_TIMEOUT,
		state:  stateUnknown,
		text:   "SlashID did not answer in time",
		result: "NoAnswer",
	},
	deadlineTooShort: {
		when:   "the caller's deadline is too short to call SlashID",
		do:     "Retry with a longer deadline.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT,
		state:  stateNotApplied,
		text:   "the deadline leaves no time to call SlashID and report its answer",
	},
	callerCancelled: {
		when:   "the caller cancelled or disconnected; a request that was sent is finished in the background",
		do:     "Retry with `allow_invalid` if you need to know.",
		code:   codes.Canceled,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CANCELLED,
		state:  stateUnknown,
		text:   "the caller cancelled",
		result: "Cancelled",
	},
	overloaded: {
		when:       "too many revocations in flight (`--max-in-flight`), or too many pending requests (`--max-arriving`)",
		do:         "Retry after the delay.",
		code:       codes.ResourceExhausted,
		reason:     quashv1.ErrorReason_ERROR_REASON_OVERLOADED,
		state:      stateNotApplied,
		text:       "too many calls in flight or pending",
		retryDelay: time.Second,
	},
	circuitOpen: {
		when:       "the circuit breaker is open, because SlashID has been failing",
		do:         "Retry after the delay.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CIRCUIT_OPEN,
		state:      stateNotApplied,
		text:       "the circuit breaker is open: SlashID has been failing",
		retryDelay: time.Second,
	},
	shuttingDown: {
		when:       "this instance is shutting down",
		do:         "Retry after the delay: another instance answers.",
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN,
		state:      stateNotApplied,
		text:       "quash is shutting down",
		retryDelay: time.Second,
	},
	callerNotAllowed: {
		when:   "the caller's certificate is not on the list of allowed callers (`--allowed-callers-file`)",
		do:     "The operator of quash must add the caller to the list. Then retry.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED,
		state:  stateNotApplied,
		text:   "the caller is not on the list of allowed callers",
	},
	invalidRequest: {
		when:   "the request breaks a rule of the API",
		do:     "Fix the request; the message names the fields.",
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		state:  stateNotApplied,
		text:   "the request breaks a rule of the API",
	},
	internalDefect: {
		when:   "a defect in quash",
		do:     "Report it to the operator of quash, and retry with `allow_invalid`.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_INTERNAL,
		state:  stateUnknown,
		text:   "internal error",
		result: "Panic",
	},
}

// outcomeOf returns the outcome of an attempt with a result. ended is the cause with which
// the attempt's context was cancelled, or nil.
func outcomeOf(result slashid.Result, ended error) outcome {
	switch result.Status {
	case 0:
		switch {
		case errors.Is(ended, errNoAnswer):
			return noAnswer
		case errors.Is(ended, errNotConnected) && result.NoConnection && !result.Sent:
			return neverConnected
		case ended != nil, errors.Is(result.Err, slashid.ErrNotSent):
			return callerCancelled
		case result.Sent:
			return connectionLost
		default:
			return neverConnected
		}
	case http.StatusNoContent:
		if result.Sent { // otherwise it cannot be the response to this request
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

// ofCall returns the outcome of a call whose last attempt had outcome o. ownCredentials is
// whether the credentials are quash's own. invalidIsDead is whether a rejected token counts
// as dead: the request allows it, or an earlier attempt of the call may have revoked it.
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

// OutcomeDoc is a row of the outcome table for docs/outcomes.md.
type OutcomeDoc struct {
	When, Do string
	// Retried is whether quash retries.
	Retried bool
	// Outcome is the name of a success, without its prefix. Error is set for a failure.
	Outcome string
	Error   *Error
}

// OutcomeDocs returns the outcome table.
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
