package slashid

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

// What the tests need from inside.
const (
	DialTimeout   = dialTimeout
	BodyPatience  = bodyPatience
	MaxBody       = maxBody
	MaxRetryAfter = maxRetryAfter
	DoubtAfter    = doubtAfter
	MaxSends      = maxSends
	PingAfter     = pingAfter
	PingTimeout   = pingTimeout
	IdleTimeout   = idleTimeout

	MaxConnectingHTTP1 = maxConnectingHTTP1
	SilentAfter        = silentAfter
	MaxTimeouts        = maxTimeouts
	MaxConnectingHTTP2 = maxConnectingHTTP2
)

// SafeCorrelationID is correlationID.
func (r *Request) SafeCorrelationID(id string) string { return r.correlationID(id) }

// IsEnvelope is isEnvelope.
func IsEnvelope(body []byte) bool { return isEnvelope(body) }

// RetryAfter is retryAfter.
func RetryAfter(values []string, now time.Time) time.Duration { return retryAfter(values, now) }

// DialThrough makes c get its connections from dial. Call it before Revoke.
func (c *Client) DialThrough(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	c.dial = dial
	c.transport.Store(c.newTransport())
}

// ProxyThrough makes c reach SlashID through a proxy. Call it before Revoke.
func (c *Client) ProxyThrough(via *url.URL) {
	c.proxy = http.ProxyURL(via)
	c.transport.Store(c.newTransport())
}
