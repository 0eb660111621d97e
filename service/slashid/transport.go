package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// dialTimeout bounds the making of a connection, and then its TLS handshake.
	dialTimeout = 5 * time.Second
	// maxIdle is how many idle HTTP/1.1 connections are kept.
	maxIdle = 512
	// idleTimeout is how long an idle connection is kept.
	idleTimeout = 90 * time.Second
	// An HTTP/2 connection that has been silent for pingAfter is asked for a sign of
	// life, and closed if there is none within pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second

	// doubtAfter is how long new requests use connections while no request on them
	// gets a good answer.
	doubtAfter = 5 * time.Second

	// At most so many requests look for a connection at a time. Without a limit, a
	// burst of requests makes a connection each, because net/http cannot know that
	// HTTP/2 would have had room for them on one. HTTP/1.1 has not, so there more may
	// look for one, or the first calls after a start would wait for each other.
	maxConnecting      = 64
	maxConnectingHTTP2 = 2
)

// transport is an http.Transport that is used for a while. When there is reason to doubt
// its connections, a new one takes its place, and requests in flight finish on the old
// one. net/http has no other way to leave a connection that is open, answers pings, and
// answers no requests, or not as the rest of SlashID does (golang/go#63422).
type transport struct {
	http    *http.Transport
	made    time.Time
	rootCAs *x509.CertPool
	// connecting bounds how many requests look for a connection.
	connecting *semaphore.Weighted
	http1      atomic.Bool // whether SlashID speaks HTTP/1.1
	// waiting is since when requests have been waiting for a good answer, in
	// nanoseconds since made; 0 while none has begun since the last.
	waiting atomic.Int64
}

func (c *Client) newTransport() *transport {
	rootCAs := c.cfg.RootCAs()
	t := &transport{
		rootCAs:    rootCAs,
		made:       time.Now(),
		connecting: semaphore.NewWeighted(maxConnecting),
		http: &http.Transport{
			Proxy:                  c.proxy,
			OnProxyConnectResponse: checkProxy,
			DialContext:            c.traffic.counted(c.dial),
			TLSHandshakeTimeout:    dialTimeout,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: rootCAs},
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxBody,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
				// The peer may not send what is not read of a body.
				MaxReceiveBufferPerStream: maxBody,
			},
		},
	}
	t.http1.Store(c.url.Scheme == "http")
	return t
}

// proxyFromEnvironment is http.ProxyFromEnvironment. Its errors quote the variable,
// which may hold a password.
func proxyFromEnvironment(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, fault("HTTPS_PROXY or HTTP_PROXY is not the URL of a proxy")
	}
	return proxy, nil
}

// checkProxy has the cause tell the status of a proxy that refuses to connect. Its text
// is the proxy's, and is not told.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return fault(fmt.Sprintf("the proxy answered CONNECT with status %d", answer.StatusCode))
}

// transportFor returns the transport to use for a request: the present one, or a new
// one if there is reason to leave the present one's connections.
func (c *Client) transportFor(req *Request) *transport {
	t := c.transport.Load()
	if req.NewConnection || t.isDoubtful() || time.Since(t.made) >= c.cfg.ConnectionAge || t.rootCAs != c.cfg.RootCAs() {
		t = c.replace(t)
	}
	t.waiting.CompareAndSwap(0, int64(time.Since(t.made))+1)
	return t
}

// isDoubtful reports whether requests have got no good answer for too long.
func (t *transport) isDoubtful() bool {
	waiting := t.waiting.Load()
	return waiting != 0 && time.Since(t.made)-time.Duration(waiting) >= doubtAfter
}

// answered notes a good answer.
func (t *transport) answered() {
	if t.waiting.Load() != 0 { // a read, which is cheap, has it shared between processors
		t.waiting.Store(0)
	}
}

// replace replaces a transport, unless that was done already, and returns the present
// one.
func (c *Client) replace(old *transport) *transport {
	if c.transport.CompareAndSwap(old, c.newTransport()) {
		// Its other connections close when they become idle: HTTP/1.1's at once,
		// HTTP/2's within idleTimeout.
		old.http.CloseIdleConnections()
	}
	return c.transport.Load()
}

// roundTrip sends a request on a connection with room for it, if need be a new one. It
// uses no http.Client, which would follow redirects and take the token elsewhere.
func (t *transport) roundTrip(ctx context.Context, u *url.URL, header http.Header, b *body) (*http.Response, error) {
	weight := int64(maxConnecting / maxConnectingHTTP2)
	if t.http1.Load() {
		weight = 1
	}
	if err := t.connecting.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	var released atomic.Bool
	release := func() {
		if !released.Swap(true) {
			t.connecting.Release(weight)
		}
	}
	defer release()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			release()
			if conn, ok := info.Conn.(*tls.Conn); ok && !info.Reused {
				t.http1.Store(conn.ConnectionState().NegotiatedProtocol != "h2")
			}
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "", nil)
	if err != nil {
		return nil, err
	}
	reader := b.reader()
	req.URL, req.Header = u, header
	req.Body, req.GetBody, req.ContentLength = reader, b.again, int64(len(reader.rest))
	return t.http.RoundTrip(req)
}
