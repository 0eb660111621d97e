package slashid

import (
	"strconv"
	"time"
)

// Kind is what one attempt to revoke a token came to.
type Kind int

// The kinds. Those that speak of a status have Result.Status set to it.
const (
	// Revoked: 204, the token is revoked at the consistency asked for.
	Revoked Kind = iota + 1
	// TokenRejected: 400 in SlashID's envelope, the token is malformed, foreign,
	// expired or already revoked.
	TokenRejected
	// Unauthorized: 401, the credentials were refused.
	Unauthorized
	// Forbidden: 403, the credentials were not enough.
	Forbidden
	// InProgress: 408 in SlashID's envelope, the revocation is accepted and will
	// be completed.
	InProgress
	// OpaqueTimeout: 408 without the envelope, so some proxy's, which says
	// nothing of the revocation.
	OpaqueTimeout
	// RateLimited: 429.
	RateLimited
	// Unavailable: 500, 502, 503 or 504.
	Unavailable
	// Unexpected: any other status, redirects included, and 400 without the
	// envelope, so some proxy's, which says nothing of the token.
	Unexpected
	// NotConnected: no connection could be made, so nothing was sent.
	NotConnected
	// ConnectionLost: the connection failed after the request had gone out.
	ConnectionLost
	// NoAnswer: the context's deadline passed before there was an answer.
	NoAnswer
	// Cancelled: the context was cancelled before there was an answer.
	Cancelled
	// KeptBack: Request.Commit said no, so the token was not sent.
	KeptBack
)

var kindNames = [...]string{
	Revoked:        "Revoked",
	TokenRejected:  "TokenRejected",
	Unauthorized:   "Unauthorized",
	Forbidden:      "Forbidden",
	InProgress:     "InProgress",
	OpaqueTimeout:  "OpaqueTimeout",
	RateLimited:    "RateLimited",
	Unavailable:    "Unavailable",
	Unexpected:     "Unexpected",
	NotConnected:   "NotConnected",
	ConnectionLost: "ConnectionLost",
	NoAnswer:       "NoAnswer",
	Cancelled:      "Cancelled",
	KeptBack:       "KeptBack",
}

// String returns the constant's name.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
	return kindNames[k]
}

// Result is what became of one attempt. Exactly one Kind applies.
type Result struct {
	Kind Kind

	// Status is the HTTP status of the answer, 0 when there was none.
	Status int

	// Sent reports whether any of the request may have reached SlashID. While it
	// is false the attempt has certainly done nothing. It errs on the side of
	// true: it is set once the token is handed to a connection.
	Sent bool

	// CorrelationID is SlashID's id for the request, from the response header
	// slashid-correlation-id. Empty when there was none, or none that is safe to
	// show.
	CorrelationID string

	// RetryAfter is what the response header Retry-After asks for, counted from
	// the receipt of the answer. RetryAfterSet tells an absent or unreadable one
	// from 0.
	RetryAfter    time.Duration
	RetryAfterSet bool

	// Err is the cause when there was no answer, for whoever runs quash; callers
	// never see it. It holds no token.
	Err error
}
