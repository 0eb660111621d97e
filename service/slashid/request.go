package slashid

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// revokePath is the path of the endpoint, relative to the base URL.
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

// The consistency levels of SlashID.
const (
	LocalRegion Consistency = "local_region"
	AllRegions  Consistency = "all_regions"
)

// Request is a request to revoke a token.
type Request struct {
	Token       Secret
	Consistency Consistency
	// Timeout is how long SlashID waits for the consistency, in whole seconds from 1 s to
	// 120 s.
	Timeout time.Duration
	// SDKVersion is the version of the calling SDK. Empty means none.
	SDKVersion  string
	Credentials Credentials

	// BeforeSend, if set, is called immediately before the token is written to a
	// connection. If it returns false, the token is not sent, and Result.Err is
	// ErrNotSent. It is called on a goroutine of net/http, and called again if net/http
	// resends the request.
	BeforeSend func() bool

	// NewConnection makes this request and all later ones use new connections. Requests
	// in flight finish on the old ones.
	NewConnection bool
}

// Credentials are the headers that authenticate a request. Empty ones are not sent.
type Credentials struct {
	APIKey        Secret // SlashID-API-Key
	Authorization Secret // Authorization, with its scheme
	OrgID         string // SlashID-OrgID
}

// constantHeader are the headers that all requests have. The requests share the values, so these
// may be replaced but not modified.
var constantHeader = http.Header{
	"Accept":          {"application/json"},
	"Accept-Encoding": {"identity"}, // otherwise a proxy might compress the response
	"Content-Type":    {"application/json"},
	"User-Agent":      {"quash"},
	// The nil value is not sent. With it net/http resends a POST if a kept-alive
	// connection turns out to be closed; without it the POST would fail.
	"Idempotency-Key": nil,
}

// header returns the headers of the request. Empty values are not sent.
func (r *Request) header() http.Header {
	const others = 7 // the headers below and the trace context: with room for all the map does not grow
	h := make(http.Header, len(constantHeader)+others)
	maps.Copy(h, constantHeader)
	for _, field := range [...]struct{ name, value string }{
		{HeaderConsistency, string(r.Consistency)},
		{HeaderConsistencyTimeout, strconv.FormatInt(int64(r.Timeout/time.Second), 10)},
		{HeaderSDKVersion, r.SDKVersion},
		{HeaderAPIKey, r.Credentials.APIKey.Reveal()},
		{HeaderAuthorization, r.Credentials.Authorization.Reveal()},
		{HeaderOrgID, r.Credentials.OrgID},
	} {
		if field.value != "" {
			h.Set(field.name, field.value)
		}
	}
	return h
}

// maxSends is how often net/http may send one request. If the peer declares it unprocessed
// three times in a row, the connections are likely unusable.
const maxSends = 3

const (
	// ErrNotSent is the error of a Result if Request.BeforeSend returned false.
	ErrNotSent = fault("the token was not sent: the call has ended")

	errSentTooOften = fault("the request was sent three times, and each time the peer declared it unprocessed or closed the connection")
)

// body is the body of one request. Only the body contains the token, so the token is sent if
// and only if the body is read.
type body struct {
	token      Secret
	beforeSend func() bool

	mu     sync.Mutex
	sends  int
	resent bool // set when net/http asks for the body again
	closed bool
}

// send returns an error if the token must not be sent. Otherwise it counts the sending.
func (b *body) send() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.beforeSend != nil && !b.beforeSend() {
		return ErrNotSent
	}
	b.sends++
	return nil
}

// close prevents further sending, because net/http may read the body even after RoundTrip
// has returned. It returns whether the token was sent, and whether it was sent again.
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

// again implements http.Request.GetBody.
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
		r.rest = nil // free it: many requests may be waiting for their responses
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *bodyReader) Close() error { return nil }
