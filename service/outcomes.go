package service

import (
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// situation is one way for a call to end: a row of the outcome table.
type situation int

const (
	revoked situation = iota + 1
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
	invalidRequest
	internalDefect
)

// row is what callers are told about a situation.
type row struct {
	// code is OK exactly for the rows that have an outcome.
	code    codes.Code
	outcome quashv1.Outcome

	reason quashv1.ErrorReason
	// state is what became of the token, on the premise that something was sent:
	// while nothing was, UNKNOWN is NOT_APPLIED.
	state quashv1.RevocationState
	// text is the status message. It is constant: nothing of a request and
	// nothing of upstream's words gets into it.
	text string
	// retryDelay is what RetryInfo says unless upstream said better; 0 where a
	// repetition of the call cannot help.
	retryDelay time.Duration
}

const (
	stateNotApplied = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	stateInProgress = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
	stateUnknown    = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

// outcomes is the outcome table: every way for a call to end, and the one place
// that says what callers are told then.
var outcomes = [...]row{
	revoked: {
		outcome: quashv1.Outcome_OUTCOME_REVOKED,
	},
	alreadyInvalid: {
		outcome: quashv1.Outcome_OUTCOME_ALREADY_INVALID,
	},
	tokenRejected: {
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID rejected the token: it is malformed, foreign, expired or already revoked",
	},
	ownCredentialRejected: {
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the credentials that quash is configured with",
	},
	callerUnauthenticated: {
		code:   codes.Unauthenticated,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the caller's credentials",
	},
	callerForbidden: {
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "the caller's credentials do not permit this at SlashID",
	},
	consistencyPending: {
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateInProgress,
		text:   "the revocation did not reach the asked-for consistency in time; SlashID goes on with it",
	},
	consistencyUnknown: {
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateUnknown,
		text:   "a proxy in front of SlashID gave up waiting for its answer",
	},
	rateLimited: {
		code:       codes.ResourceExhausted,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_RATE_LIMITED,
		state:      stateNotApplied,
		text:       "SlashID is limiting the rate of requests",
		retryDelay: time.Second,
	},
	upstreamUnavailable: {
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNAVAILABLE,
		state:      stateUnknown,
		text:       "SlashID is unavailable",
		retryDelay: time.Second,
	},
	upstreamUnexpected: {
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNEXPECTED_RESPONSE,
		state:  stateUnknown,
		text:   "upstream answered with an unexpected status",
	},
	neverConnected: {
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateNotApplied,
		text:       "SlashID cannot be reached",
		retryDelay: time.Second,
	},
	connectionLost: {
		code:       codes.Unavailable,
		reason:     quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNREACHABLE,
		state:      stateUnknown,
		text:       "the connection to SlashID was lost before it answered",
		retryDelay: time.Second,
	},
	noAnswer: {
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_TIMEOUT,
		state:  stateUnknown,
		text:   "SlashID did not answer in time",
	},
	deadlineTooShort: {
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT,
		state:  stateNotApplied,
		text:   "the deadline leaves no time to call SlashID and report its answer",
	},
	callerCancelled: {
		code:   codes.Canceled,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CANCELLED,
		state:  stateUnknown,
		text:   "the caller cancelled",
	},
	invalidRequest: {
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		state:  stateNotApplied,
		text:   "the request breaks a rule of the API; see the details",
	},
	internalDefect: {
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_INTERNAL,
		state:  stateUnknown,
		text:   "internal error",
	},
}

// situationOf says which row an attempt's result belongs to.
func situationOf(kind slashid.Kind, ownCredentials, allowInvalid bool) situation {
	switch kind {
	case slashid.Revoked:
		return revoked
	case slashid.TokenRejected:
		if allowInvalid {
			return alreadyInvalid
		}
		return tokenRejected
	case slashid.Unauthorized:
		if ownCredentials {
			return ownCredentialRejected
		}
		return callerUnauthenticated
	case slashid.Forbidden:
		if ownCredentials {
			return ownCredentialRejected
		}
		return callerForbidden
	case slashid.InProgress:
		return consistencyPending
	case slashid.OpaqueTimeout:
		return consistencyUnknown
	case slashid.RateLimited:
		return rateLimited
	case slashid.Unavailable:
		return upstreamUnavailable
	case slashid.Unexpected:
		return upstreamUnexpected
	case slashid.NotConnected:
		return neverConnected
	case slashid.ConnectionLost:
		return connectionLost
	case slashid.NoAnswer:
		return noAnswer
	case slashid.Cancelled:
		return callerCancelled
	}
	return internalDefect
}
