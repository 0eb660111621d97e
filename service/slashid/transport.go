package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// dialTimeout bounds the making of a connection, and then its TLS handshake.
	dialTimeout = 5 * time.Second
	// maxIdle is how many idle HTTP/1.1 connections are kept.
	maxIdle = 512
	// idleTimeout is how long an idle connection is kept: less than load balancers keep
	// it (60 s and more), so that it is seldom closed while a request is under way. For
	// as long net/http also holds on to an HTTP/2 connection that was lost.
	idleTimeout = 30 * time.Second
	// An HTTP/2 connection that has been silent for pingAfter is asked for a sign of
	// life, and closed if there is none within pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second

	// A transport is replaced when requests on it have got no good answer for
	// doubtAfter, and none came over an earlier transport either, which would mean that
	// SlashID is slow; or when they have got none for silentAfter in any case.
	doubtAfter  = 5 * time.Second
	silentAfter = 25 * time.Second
	// maxTimeouts is how many requests may end without an answer in time. SlashID
	// answers within the timeout that it is given, so one connection of several may be
	// stuck.
	maxTimeouts = 3

	// At most so many requests look for a connection at a time. Without a limit each
	// request of a burst makes a connection, because net/http cannot know that an
	// HTTP/2 connection will have room for many. HTTP/1.1 needs one for each request,
	// so with few at a time the first requests would wait for each other.
	maxConnectingHTTP2 = 2
	maxConnectingHTTP1 = 256
)

// transport is an http.Transport that is used for a while. When there is reason to doubt
// its connections, a new one takes its place, and requests in flight finish on the old
// one. net/http has no other way to leave a connection that is open, answers pings, and
// answers no requests, or not as the rest of SlashID does (golang/go#63422).
type transport struct {
	http    *http.Transport
	made    time.Time
	rootCAs *x509.CertPool
	// connecting bounds how many requests look for a connection. Once SlashID is known
	// to speak HTTP/1.1, allowMore lets more do so.
	connecting *semaphore.Weighted
	allowMore  func()
	// waiting is since when requests have been waiting for a good answer, in
	// nanoseconds since made; 0 while none has begun since the last.
	waiting atomic.Int64
	// timeouts is how many requests have had no answer in time.
	timeouts atomic.Int32
}

func (c *Client) newTransport() *transport {
	rootCAs := c.cfg.RootCAs()
	t := &transport{
		rootCAs:    rootCAs,
		made:       time.Now(),
		connecting: semaphore.NewWeighted(maxConnectingHTTP1),
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
				// A peer that does not read may send frames, so that no ping is due.
				WriteByteTimeout: pingTimeout,
				// The peer may not send what is not read of a body.
				MaxReceiveBufferPerStream: maxBody,
			},
		},
	}
	const reserved = maxConnectingHTTP1 - maxConnectingHTTP2
	t.connecting.TryAcquire(reserved)
	t.allowMore = sync.OnceFunc(func() { t.connecting.Release(reserved) })
	if c.http1.Load() {
		t.allowMore()
	}
	return t
}

// checkProxy puts the status of a proxy that refuses to connect into the cause. Its text
// is the proxy's, and is left out.
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
	if req.NewConnection || c.isDoubtful(t) || time.Since(t.made) >= c.cfg.ConnectionAge || t.rootCAs != c.cfg.RootCAs() {
		t = c.replace(t)
	}
	t.waiting.CompareAndSwap(0, int64(time.Since(t.made))+1)
	return t
}

// isDoubtful reports whether requests on a transport have got no good answer for too long.
func (c *Client) isDoubtful(t *transport) bool {
	waiting := time.Duration(t.waiting.Load())
	if waiting == 0 {
		return false
	}
	silent := time.Since(t.made) - waiting
	elsewhere := time.Since(c.made) - time.Duration(c.answered.Load())
	return silent >= silentAfter || silent >= doubtAfter && elsewhere >= doubtAfter
}

// noteAnswer notes an answer of SlashID's own.
func (c *Client) noteAnswer(t *transport) {
	t.waiting.Store(0)
	c.answered.Store(int64(time.Since(c.made)))
}

// noteTimeout notes that a request was sent and has had no answer in time.
func (c *Client) noteTimeout(t *transport) {
	if t.timeouts.Add(1) >= maxTimeouts && time.Since(t.made) >= doubtAfter {
		c.replace(t)
	}
}

// replace replaces a transport, unless that was done already, and returns the present
// one.
func (c *Client) replace(old *transport) *transport {
	if c.transport.Load() == old && c.transport.CompareAndSwap(old, c.newTransport()) {
		// Connections with requests close when those have ended, or within idleTimeout.
		old.http.CloseIdleConnections()
	}
	return c.transport.Load()
}

// roundTrip sends a request on a connection with room for it, if need be a new one. It
// uses no http.Client, which would follow redirects and take the token elsewhere.
func (c *Client) roundTrip(ctx context.Context, t *transport, header http.Header, b *body) (*http.Response, error) {
	// Not in the hook GetConn: net/http calls that with a lock held that others need to
	// go on. So a request that net/http sends again looks for a connection at once.
	if err := t.connecting.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	release := sync.OnceFunc(func() { t.connecting.Release(1) })
	defer release()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			release()
			if conn, ok := info.Conn.(*tls.Conn); ok && !info.Reused {
				c.http1.Store(conn.ConnectionState().NegotiatedProtocol != "h2")
				if c.http1.Load() {
					t.allowMore()
				}
			}
		},
	})
	reader := b.reader()
	req := &http.Request{
		Method: http.MethodPost, URL: c.url, Host: c.url.Host, Header: header,
		Body: reader, GetBody: b.again, ContentLength: int64(len(reader.rest)),
	}
	return t.http.RoundTrip(req.WithContext(ctx))
}
