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
	// dialTimeout limits the dial of a connection, and separately its TLS handshake.
	dialTimeout = 5 * time.Second
	// maxIdle is the maximum number of idle HTTP/1.1 connections.
	maxIdle = 512
	// idleTimeout is how long an idle connection is kept. It is shorter than the idle
	// timeout of load balancers (60 s and more): a connection that the peer closes at the
	// moment of a request makes the request ambiguous. net/http also keeps a lost HTTP/2
	// connection for this long.
	idleTimeout = 30 * time.Second
	// An HTTP/2 connection without traffic for pingAfter is sent a ping, and closed if
	// the peer does not answer within pingTimeout.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second

	// A transport is replaced when requests on it got no good response for doubtAfter,
	// and no earlier transport got one in that time either. (If one did, SlashID is only
	// slow.) After silentAfter without a good response it is always replaced.
	doubtAfter  = 5 * time.Second
	silentAfter = 25 * time.Second
	// maxTimeouts is the number of requests without a response in time after which a
	// transport is replaced. SlashID answers within the timeout of a request, so one of
	// several connections may be stuck.
	maxTimeouts = 3

	// The maximum number of requests that wait for a connection at a time. Without a
	// limit each request of a burst opens a connection, because net/http does not know
	// how many requests a new HTTP/2 connection will accept. HTTP/1.1 needs a connection
	// for each request, so a small limit would make the requests wait for each other.
	maxConnectingHTTP2 = 2
	maxConnectingHTTP1 = 256
)

// transport is an http.Transport with a limited life. If its connections seem broken, a new
// transport replaces it, and requests in flight finish on the old one. net/http has no other
// way to stop using a connection that answers pings and no requests (golang/go#63422).
type transport struct {
	http    *http.Transport
	made    time.Time
	rootCAs *x509.CertPool
	// connecting limits how many requests wait for a connection. allowMore raises the limit
	// to maxConnectingHTTP1 when a connection uses HTTP/1.1.
	connecting *semaphore.Weighted
	allowMore  func()
	// waiting is the start of the first request since the last good response, in
	// nanoseconds since made; 0 if there is none.
	waiting atomic.Int64
	// timeouts is the number of requests without a response in time.
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
				// For a peer that sends frames but does not read: no ping is due then.
				WriteByteTimeout: pingTimeout,
				// Do not buffer more of a body than readBody reads.
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

// checkProxy returns an error with the status of a proxy that rejects CONNECT. It leaves out
// the text of the response, because the proxy chooses it.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return fault(fmt.Sprintf("the proxy answered CONNECT with status %d", answer.StatusCode))
}

// transportFor returns the transport for a request: the current one, or a new one if the
// connections of the current one should not be used again.
func (c *Client) transportFor(req *Request) *transport {
	t := c.transport.Load()
	if req.NewConnection || c.isDoubtful(t) || time.Since(t.made) >= c.cfg.ConnectionAge || t.rootCAs != c.cfg.RootCAs() {
		t = c.replace(t)
	}
	t.waiting.CompareAndSwap(0, int64(time.Since(t.made))+1)
	return t
}

// isDoubtful reports whether requests on a transport got no good response for too long.
func (c *Client) isDoubtful(t *transport) bool {
	waiting := time.Duration(t.waiting.Load())
	if waiting == 0 {
		return false
	}
	silent := time.Since(t.made) - waiting
	elsewhere := time.Since(c.made) - time.Duration(c.answered.Load())
	return silent >= silentAfter || silent >= doubtAfter && elsewhere >= doubtAfter
}

// noteAnswer records a response that shows that SlashID works.
func (c *Client) noteAnswer(t *transport) {
	t.waiting.Store(0)
	c.answered.Store(int64(time.Since(c.made)))
}

// noteTimeout records that a request was sent and got no response in time.
func (c *Client) noteTimeout(t *transport) {
	if t.timeouts.Add(1) >= maxTimeouts && time.Since(t.made) >= doubtAfter {
		c.replace(t)
	}
}

// replace replaces a transport, unless it was replaced before, and returns the current one.
func (c *Client) replace(old *transport) *transport {
	if c.transport.Load() == old && c.transport.CompareAndSwap(old, c.newTransport()) {
		// A connection with requests in flight closes within idleTimeout after they end.
		old.http.CloseIdleConnections()
	}
	return c.transport.Load()
}

// roundTrip sends a request and returns the response. It does not use http.Client, which
// would follow redirects and so send the token to another host.
func (c *Client) roundTrip(ctx context.Context, t *transport, header http.Header, b *body) (*http.Response, error) {
	// Acquire here and not in the hook GetConn: net/http calls GetConn with a lock held
	// that other requests need. Resends by net/http are therefore not limited.
	if err := t.connecting.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	release := sync.OnceFunc(func() { t.connecting.Release(1) })
	defer release()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			release()
			c.connected.Store(int64(time.Since(c.made)))
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
