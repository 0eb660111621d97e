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
	// maxBody limits the response body, and separately the response header. Those of
	// SlashID have a few hundred bytes.
	maxBody = 64 << 10
	// bodyTimeout limits the time from the response header to the end of the body. The
	// body only shows whether the status comes from SlashID or from a proxy.
	bodyTimeout = 5 * time.Second
)

// Config describes a Client.
type Config struct {
	// BaseURL is SlashID's address without the path of the endpoint, for example
	// https://api.slashid.com. See ParseBaseURL.
	BaseURL *url.URL
	// RootCAs returns the authorities that may issue SlashID's certificate. If it is nil,
	// or returns nil, the system's authorities may. When it returns another pool, new
	// requests use new connections.
	RootCAs func() *x509.CertPool
	// ConnectionAge is the maximum age of a connection for new requests. 0 means
	// DefaultConnectionAge.
	ConnectionAge time.Duration

	Telemetry Telemetry
}

// DefaultConnectionAge is the default of Config.ConnectionAge.
const DefaultConnectionAge = 5 * time.Minute

// Client sends requests to SlashID. It is safe for concurrent use.
type Client struct {
	cfg       Config
	url       *url.URL
	dial      dialFunc
	proxy     func(*http.Request) (*url.URL, error)
	observer  *observer
	traffic   *traffic
	transport atomic.Pointer[transport]
	http1     atomic.Bool // the last new connection used HTTP/1.1
	made      time.Time
	answered  atomic.Int64 // time of the last response from SlashID, in nanoseconds since made
	connected atomic.Int64 // time when a request last got a connection, in nanoseconds since made
}

// New returns a client. Call Close when it is no longer needed.
func New(cfg Config) *Client {
	telemetry := cfg.Telemetry.orNothing()
	base := *cfg.BaseURL
	if base.Path == "" {
		base.Path = "/" // otherwise JoinPath makes a relative path
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
	c.connected.Store(-1) // never
	c.transport.Store(c.newTransport())
	return c
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.Load().http.CloseIdleConnections() }

// Result is the result of one request.
type Result struct {
	// Status is the HTTP status of the response, or 0 if there is no response.
	Status int
	// Envelope is whether the response body is SlashID's error envelope. If it is, the
	// status comes from SlashID and not from a proxy.
	Envelope bool

	// Sent is whether any part of the token may have reached SlashID. If it is false, the
	// request certainly did nothing. If quash does not know, it is true.
	Sent bool
	// Resent is whether net/http began to send the request again. The response may then
	// say nothing about the first time.
	Resent bool

	// NoConnection is whether neither this request nor any other got a connection since this
	// one began: it did not only wait for its turn.
	NoConnection bool

	// CorrelationID is SlashID's id for the request, from the response header
	// slashid-correlation-id. It is empty if the header is missing, does not look like an
	// id, or contains part of a secret.
	CorrelationID string

	// RetryAfter is the delay in the response header Retry-After, in whole seconds from
	// the receipt of the response; 0 if there is no valid delay.
	RetryAfter time.Duration

	// Err is why there is no response, for operators. It contains no token and no
	// credentials. It is nil if there is a response.
	Err error
}

// Revoke sends the request. It returns when there is a response, or when ctx ends.
func (c *Client) Revoke(ctx context.Context, req Request) Result {
	begun := int64(time.Since(c.made))
	c.traffic.streams.Add(1)
	defer c.traffic.streams.Add(-1)
	header := req.header()
	ctx, observation := c.observer.begin(ctx, header)
	t := c.transportFor(&req)
	b := &body{token: req.Token, beforeSend: req.BeforeSend}
	resp, err := c.roundTrip(ctx, t, header, b)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			err = ctx.Err() // over HTTP/1.1 net/http returns the cause, which can be any error
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
		return Result{Sent: sent, Resent: resent, NoConnection: c.connected.Load() < begun, Err: err}
	}
	defer resp.Body.Close()
	result := Result{
		Status:        resp.StatusCode,
		Envelope:      isEnvelope(readBody(resp)),
		Sent:          sent,
		Resent:        resent,
		CorrelationID: req.correlationID(resp.Header.Get(HeaderCorrelationID)),
		RetryAfter:    retryAfter(resp.Header, time.Now()),
	}
	if result.isSlashIDs() {
		c.noteAnswer(t)
	}
	return result
}

// isSlashIDs reports whether the response shows that SlashID works: it comes from SlashID and
// not from a proxy or another server, as far as quash can see, and its status is not 5xx.
func (r *Result) isSlashIDs() bool {
	switch r.Status {
	case http.StatusNoContent, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	default:
		return r.Envelope && r.Status < http.StatusInternalServerError
	}
}

// readBody reads at most maxBody of a body, within bodyTimeout.
func readBody(resp *http.Response) []byte {
	if resp.Body == http.NoBody || resp.StatusCode == http.StatusSwitchingProtocols {
		return nil // after 101 the body is the connection
	}
	defer time.AfterFunc(bodyTimeout, func() { _ = resp.Body.Close() }).Stop()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return text
}
