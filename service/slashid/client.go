package slashid

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// maxBody is how much of an answer's body is read, and of its head: SlashID's
	// have some hundred bytes.
	maxBody = 64 << 10
	// bodyPatience is how long an answer may take to finish its body once its head
	// has come. What a body adds to a status is not worth more.
	bodyPatience = 5 * time.Second
)

// Config describes a Client.
type Config struct {
	// BaseURL is SlashID's address without the path of the endpoint, for instance
	// https://api.slashid.com; see ParseBaseURL.
	BaseURL *url.URL
	// RootCAs returns the authorities that SlashID's certificate must come from. If
	// it is nil, they are those of the system. When it returns others than before,
	// new requests use new connections.
	RootCAs func() *x509.CertPool
	// ConnectionAge is how long new requests use a connection; 0 means
	// DefaultConnectionAge.
	ConnectionAge time.Duration

	Telemetry Telemetry
}

// DefaultConnectionAge is Config.ConnectionAge unless it says otherwise.
const DefaultConnectionAge = 5 * time.Minute

// Client sends requests to one SlashID. It is safe for concurrent use.
type Client struct {
	cfg       Config
	url       *url.URL
	dial      dialFunc
	proxy     func(*http.Request) (*url.URL, error)
	observer  *observer
	traffic   *traffic
	transport atomic.Pointer[transport]
	http1     atomic.Bool // SlashID speaks HTTP/1.1, as far as is known
	made      time.Time
	answered  atomic.Int64 // when the last good answer came, in nanoseconds since made
}

// New returns a client. Call Close when it is no longer needed.
func New(cfg Config) *Client {
	telemetry := cfg.Telemetry.orNothing()
	base := *cfg.BaseURL
	if base.Path == "" {
		base.Path = "/" // or JoinPath makes a relative path
	}
	if cfg.RootCAs == nil {
		cfg.RootCAs = func() *x509.CertPool { return nil }
	}
	cfg.ConnectionAge = cmp.Or(cfg.ConnectionAge, DefaultConnectionAge)
	base.Host = strings.TrimSuffix(base.Host, ":") // an empty port
	u := base.JoinPath(revokePath)
	c := &Client{
		cfg:      cfg,
		url:      u,
		dial:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
		proxy:    http.ProxyFromEnvironment,
		observer: newObserver(telemetry, u),
		traffic:  newTraffic(telemetry.Meters),
		made:     time.Now(),
	}
	c.http1.Store(u.Scheme == "http")
	c.transport.Store(c.newTransport())
	return c
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.Load().http.CloseIdleConnections() }

// Result is what is known of one request.
type Result struct {
	// Status is the HTTP status of the answer, 0 if there was none.
	Status int
	// Envelope reports whether the body of the answer is SlashID's error envelope, so
	// that the status is SlashID's own and not that of a proxy.
	Envelope bool

	// Sent reports whether any of the token may have reached SlashID. While it is
	// false, the request has certainly done nothing. It errs on the side of true.
	Sent bool
	// Resent reports whether net/http began to send the request again, so that the
	// answer may say nothing about the first time.
	Resent bool

	// CorrelationID is SlashID's id for the request, from the response header
	// slashid-correlation-id. Empty if there was none, or none that may be shown.
	CorrelationID string

	// RetryAfter is what the response header Retry-After asks for, counted from the
	// receipt of the answer, in whole seconds; 0 if there was none.
	RetryAfter time.Duration

	// Err is why there was no answer, for operators. It holds no token and no
	// credentials. It is nil if there was an answer.
	Err error
}

// Revoke sends the request and returns when there is an answer or ctx ends, whichever
// comes first.
func (c *Client) Revoke(ctx context.Context, req Request) Result {
	c.traffic.streams.Add(1)
	defer c.traffic.streams.Add(-1)
	header := req.header()
	ctx, observation := c.observer.begin(ctx, header)
	t := c.transportFor(&req)
	b := &body{token: req.Token, beforeSend: req.BeforeSend}
	resp, err := c.roundTrip(ctx, t, header, b)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			err = ctx.Err() // over HTTP/1.1 it is the cause, which can be any error
		}
		err = publicCause(err)
	}
	observation.end(ctx, resp, err)
	sent, resent := b.close()
	if err != nil {
		switch {
		case sent && ctx.Err() != nil:
			c.noteTimeout(t)
		case errors.Is(err, errSentTooOften):
			c.replace(t)
		}
		return Result{Sent: sent, Resent: resent, Err: err}
	}
	defer resp.Body.Close()
	result := Result{
		Status:        resp.StatusCode,
		Envelope:      isEnvelope(readBody(resp)),
		Sent:          sent,
		Resent:        resent,
		CorrelationID: req.correlationID(resp.Header.Get(HeaderCorrelationID)),
		RetryAfter:    retryAfter(resp.Header.Values("Retry-After"), time.Now()),
	}
	if result.isSlashIDs() {
		c.noteAnswer(t)
	}
	return result
}

// isSlashIDs reports whether the answer is SlashID's own and not that of a proxy or of
// another server, as far as can be seen, and not that SlashID is unavailable.
func (r *Result) isSlashIDs() bool {
	switch r.Status {
	case http.StatusNoContent, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	default:
		return r.Envelope && r.Status < http.StatusInternalServerError
	}
}

// readBody reads as much of a body as there is within bodyPatience, and not more than
// maxBody.
func readBody(resp *http.Response) []byte {
	if resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil // after which the body is the connection
	}
	defer time.AfterFunc(bodyPatience, func() { _ = resp.Body.Close() }).Stop()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return text
}
