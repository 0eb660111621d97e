package slashid

import (
	"context"
	"net"
	"net/url"
	"time"
)

// What the tests need from inside.
const (
	DialTimeout   = dialTimeout
	BodyPatience  = bodyPatience
	MaxBody       = maxBody
	MaxRetryAfter = maxRetryAfter
	MaxStreams    = maxStreams
	MaxDials      = maxDials
	PingAfter     = pingAfter
	PingTimeout   = pingTimeout
	IdleTimeout   = idleTimeout
)

// SafeCorrelationID is correlationID.
func (r *Request) SafeCorrelationID(id string) string { return r.correlationID(id) }

// CutRevoked is cutRevoked.
func CutRevoked(read []byte) (correlationID, rest []byte, ok bool) { return cutRevoked(read) }

// IsEnvelope is isEnvelope.
func IsEnvelope(body []byte) bool { return isEnvelope(body) }

// ParseRetryAfter is parseRetryAfter.
func ParseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	return parseRetryAfter(value, now)
}

// DialThrough makes c get its connections from dial. Call it before Revoke.
func (c *Client) DialThrough(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	c.pool.dialer.dial = dial
}

// ProxyThrough makes c reach SlashID through a proxy. Call it before Revoke.
func (c *Client) ProxyThrough(via *url.URL) {
	c.pool.dialer.proxy = func() (*url.URL, error) { return via, nil }
}

// ShareHTTP2 gives c a connection of HTTP/2, made elsewhere.
func (c *Client) ShareHTTP2(conn net.Conn) error {
	c2, err := newHTTP2Conn(c.pool, conn)
	if err != nil {
		return err
	}
	c.pool.mu.Lock()
	c.pool.dialing++
	c.pool.mu.Unlock()
	c.pool.share(c2)
	return nil
}

// BeginFrom has the connections of HTTP/2 that c shares number their requests from
// stream on.
func (c *Client) BeginFrom(stream uint32) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, c := range c.pool.shared {
		c.mu.Lock()
		c.nextID = stream
		c.mu.Unlock()
	}
}

// Load is how many requests wait for a connection, and how many are on those of
// HTTP/2.
func (c *Client) Load() (queued, busy int) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, c := range c.pool.shared {
		busy += c.busy
	}
	return c.pool.queue.Len(), busy
}

// Blocked is how many requests wait for their HTTP/2 peers to take more of them.
func (c *Client) Blocked() (blocked int) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, c := range c.pool.shared {
		c.mu.Lock()
		blocked += len(c.blocked)
		c.mu.Unlock()
	}
	return blocked
}

// Revoke makes an attempt, and gives it up when ctx ends.
func (c *Client) Revoke(ctx context.Context, req Request) Result {
	a := c.Begin(ctx, req)
	if ctx.Err() == nil {
		select {
		case <-a.Done():
			return a.Result()
		case <-ctx.Done():
		}
	}
	kind := Cancelled
	if ctx.Err() == context.DeadlineExceeded {
		kind = NoAnswer
	}
	a.GiveUp(kind)
	<-a.Done()
	return a.Result()
}
