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
	overloaded
	circuitOpen
	shuttingDown
	callerNotAllowed
	invalidRequest
	internalDefect
)

// row is what callers are told about a situation.
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
		when:    "204",
		do:      "The token is dead, at the consistency in the answer. Done.",
		outcome: quashv1.Outcome_OUTCOME_REVOKED,
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
	},
	ownCredentialRejected: {
		when:   "401 or 403 for quash's own key",
		do:     "Whoever runs quash must replace its key. Then repeat.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the credentials that quash is configured with",
	},
	callerUnauthenticated: {
		when:   "401 for forwarded credentials",
		do:     "Mend the credentials, then repeat.",
		code:   codes.Unauthenticated,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "SlashID refused the caller's credentials",
	},
	callerForbidden: {
		when:   "403 for forwarded credentials",
		do:     "Mend the credentials, then repeat.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_CREDENTIAL_REJECTED,
		state:  stateNotApplied,
		text:   "the caller's credentials do not permit this at SlashID",
	},
	consistencyPending: {
		when:   "408 in SlashID's envelope",
		do:     "Nothing: SlashID goes on by itself. Wait where it matters.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateInProgress,
		text:   "the revocation did not reach the asked-for consistency in time; SlashID goes on with it",
	},
	consistencyUnknown: {
		when:   "408 without the envelope",
		do:     "Repeat with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT,
		state:  stateUnknown,
		text:   "a proxy in front of SlashID gave up waiting for its answer",
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
	},
	upstreamUnexpected: {
		when:   "any other status, redirects included, and 400 without the envelope",
		do:     "Have a look at what stands between quash and SlashID. Then repeat with `allow_invalid`.",
		code:   codes.Internal,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNEXPECTED_RESPONSE,
		state:  stateUnknown,
		text:   "upstream gave an answer that is not SlashID's",
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
	},
	noAnswer: {
		when:   "no answer by the time it was due; quash goes on waiting for it, and logs it",
		do:     "Repeat with `allow_invalid`.",
		code:   codes.DeadlineExceeded,
		reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_TIMEOUT,
		state:  stateUnknown,
		text:   "SlashID did not answer in time",
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
	},
	overloaded: {
		when:       "too many calls in flight",
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
		when:   "the caller's certificate is for nobody on the list of allowed callers",
		do:     "Whoever runs quash must put the caller on the list. Then repeat.",
		code:   codes.PermissionDenied,
		reason: quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED,
		state:  stateNotApplied,
		text:   "the caller is not on the list of those that may call",
	},
	invalidRequest: {
		when:   "the request breaks a rule",
		do:     "Mend the request.",
		code:   codes.InvalidArgument,
		reason: quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		state:  stateNotApplied,
		text:   "the request breaks a rule of the API; see the details",
	},
	internalDefect: {
		when:   "a defect of quash's own",
		do:     "Repeat with `allow_invalid`, and tell whoever runs quash.",
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
	case slashid.Cancelled, slashid.KeptBack:
		return callerCancelled
	}
	return internalDefect
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
	for s := revoked; int(s) < len(outcomes); s++ {
		row := outcomes[s]
		doc := OutcomeDoc{When: row.when, Do: row.do, Retried: row.retried}
		if row.code == codes.OK {
			doc.Outcome = OutcomeName(row.outcome)
		} else {
			doc.Error = newError(s)
		}
		docs = append(docs, doc)
	}
	return docs
}
