package slashid

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// revokePath is the endpoint, below the base URL.
const revokePath = "/token/revoke"

// The request headers of SlashID's contract, in the canonical form of net/http.
const (
	HeaderAPIKey             = "Slashid-Api-Key"
	HeaderAuthorization      = "Authorization"
	HeaderOrgID              = "Slashid-Orgid"
	HeaderSDKVersion         = "Slashid-Sdkversion"
	HeaderConsistency        = "Slashid-Required-Consistency"
	HeaderConsistencyTimeout = "Slashid-Required-Consistency-Timeout"

	// HeaderCorrelationID is the response header with SlashID's id for the
	// request.
	HeaderCorrelationID = "Slashid-Correlation-Id"
)

// Consistency is a value of the header SlashID-Required-Consistency.
type Consistency string

// The levels that SlashID knows.
const (
	LocalRegion Consistency = "local_region"
	AllRegions  Consistency = "all_regions"
)

// Request is one revocation to attempt.
type Request struct {
	Token       Secret
	Consistency Consistency
	// Timeout is the longest that SlashID waits for the consistency, in whole
	// seconds, 1 s to 120 s.
	Timeout time.Duration
	// SDKVersion is the version of the calling SDK, passed on when not empty.
	SDKVersion  string
	Credentials Credentials

	// BeforeSend, if set, is called right before the token is written to a
	// connection. If it returns false, the token is not sent and the error of the
	// Result is ErrNotSent. It is called on a goroutine of net/http, and again when
	// net/http sends the request again.
	BeforeSend func() bool

	// NewConnection has the request use a connection that was made for it, and
	// everything after it, too: none of the present connections is used again.
	NewConnection bool
}

// Credentials are the headers that authenticate a request. Empty ones are not sent.
type Credentials struct {
	APIKey        Secret // SlashID-API-Key
	Authorization Secret // Authorization, with its scheme
	OrgID         string // SlashID-OrgID
}

// header returns the headers of the request. Empty values are not sent.
func (r *Request) header() http.Header {
	h := http.Header{}
	for key, value := range map[string]string{
		"Accept":                 "application/json",
		"Accept-Encoding":        "identity", // or a proxy might compress the answer
		"Content-Type":           "application/json",
		"User-Agent":             "quash",
		HeaderConsistency:        string(r.Consistency),
		HeaderConsistencyTimeout: strconv.FormatInt(int64(r.Timeout/time.Second), 10),
		HeaderSDKVersion:         r.SDKVersion,
		HeaderAPIKey:             r.Credentials.APIKey.Reveal(),
		HeaderAuthorization:      r.Credentials.Authorization.Reveal(),
		HeaderOrgID:              r.Credentials.OrgID,
	} {
		if value != "" {
			h.Set(key, value)
		}
	}
	// It is not sent. It has net/http send the request again if a kept-alive connection
	// turns out to be closed, which for a POST it does not otherwise.
	h["Idempotency-Key"] = nil
	return h
}

// maxSends is how often net/http may send one request. What is declared unprocessed
// three times in a row points at connections that cannot be used.
const maxSends = 3

const (
	// ErrNotSent is the error of a Result when Request.BeforeSend returned false.
	ErrNotSent = fault("the token was not sent: its caller has left")

	errSentTooOften = fault("the request was sent three times, and each time the peer declared it unprocessed or closed the connection")
)

// body is the body of one request. The token is sent with it and with nothing else. So
// reading it means sending the token, and a body that cannot be read makes sure that the
// token is not sent: a request without its body is not a request.
type body struct {
	token      Secret
	beforeSend func() bool

	mu     sync.Mutex
	sends  int
	resent bool // or about to be
	closed bool
}

// send reports whether the token may be sent now.
func (b *body) send() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.beforeSend != nil && !b.beforeSend() {
		return ErrNotSent
	}
	b.sends++
	return nil
}

// close lets nothing be sent any more, and returns whether the token was sent, and
// whether it was sent again. net/http may read a body that is not read yet even after
// RoundTrip has returned.
func (b *body) close() (sent, resent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.sends > 0, b.resent
}

// reader returns a reader of the body from its beginning.
func (b *body) reader() *bodyReader {
	text, _ := json.Marshal(struct { //nolint:errchkjson // a string cannot fail
		Token string `json:"token"`
	}{b.token.Reveal()})
	return &bodyReader{body: b, rest: text}
}

// again is http.Request.GetBody.
func (b *body) again() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sends >= maxSends {
		return nil, errSentTooOften
	}
	b.resent = b.resent || b.sends > 0
	return b.reader(), nil
}

// bodyReader is one reading of a body.
type bodyReader struct {
	body  *body
	rest  []byte
	begun bool
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	if !r.begun {
		if err := r.body.send(); err != nil {
			return 0, err
		}
		r.begun = true
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		r.rest = nil // many requests may wait for their answers
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *bodyReader) Close() error { return nil }
