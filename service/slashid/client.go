package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxBody is how much of an answer's body is read, and of its head: SlashID's
	// take some hundred bytes.
	maxBody = 64 << 10
	// bodyPatience is how long an answer may take to finish its body once its
	// head is there. What a body can add to a status is not worth more.
	bodyPatience = 5 * time.Second
	// dialTimeout bounds the making of a connection, and then its handshakes.
	dialTimeout = 10 * time.Second
	// maxIdle is how many connections of HTTP/1.1 are kept for the next calls.
	maxIdle = 512
	// idleTimeout is how long a connection is kept that nobody needs.
	idleTimeout = 90 * time.Second
	// An HTTP/2 connection that is silent for pingAfter is asked for a sign of
	// life, and given up without one within pingTimeout. Otherwise one that died
	// silently would be given calls for as long as the operating system believes in
	// it.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

// Config says where SlashID is.
type Config struct {
	// BaseURL is SlashID's address without the endpoint's path, for instance
	// https://api.slashid.com; see ParseBaseURL.
	BaseURL *url.URL
	// RootCAs are the authorities that may vouch for SlashID; nil means the
	// system's.
	RootCAs *x509.CertPool

	Telemetry Telemetry
}

// Client talks to one SlashID. It is safe for concurrent use.
type Client struct {
	endpoint endpoint
	pool     *pool
	observer *observer
}

// New returns a client. Call Close when it is no longer needed.
func New(cfg Config) *Client {
	telemetry := cfg.Telemetry.orNothing()
	traffic := newTraffic(telemetry.Meters)
	d := &dialer{
		url:   cfg.BaseURL,
		dial:  traffic.counted((&net.Dialer{Timeout: dialTimeout}).DialContext),
		proxy: func() (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: cfg.BaseURL}) },
		tls:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs, NextProtos: []string{"h2", "http/1.1"}},
	}
	e := newEndpoint(cfg.BaseURL)
	return &Client{
		endpoint: e,
		pool:     newPool(d, e),
		observer: newObserver(telemetry, traffic, e),
	}
}

// Close gives up the idle connections, and the others when they become idle.
func (c *Client) Close() { c.pool.close() }

// Begin begins an attempt. Of ctx it takes the trace: its end does not end the
// attempt.
func (c *Client) Begin(ctx context.Context, req Request) *Attempt {
	x := &exchange{req: req}
	x.attempt = Attempt{done: make(chan struct{}), giveUp: x.giveUp}
	x.observed = c.observer.begin(ctx)
	if name := req.impossible(); name != "" {
		x.end(Result{Kind: NotConnected, Err: fault("the header " + name + " cannot be sent: it has a character that HTTP does not allow")})
		return &x.attempt
	}
	c.pool.begin(x)
	return &x.attempt
}
