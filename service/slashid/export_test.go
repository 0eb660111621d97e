package slashid

import (
	"context"
	"net"
	"time"
)

// What the tests need from inside.
const (
	DialTimeout   = dialTimeout
	BodyPatience  = bodyPatience
	MaxBody       = maxBody
	MaxRetryAfter = maxRetryAfter
)

// IsEnvelope is isEnvelope.
func IsEnvelope(body []byte) bool { return isEnvelope(body) }

// ParseRetryAfter is parseRetryAfter.
func ParseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	return parseRetryAfter(value, now)
}

// DialThrough makes c get its connections from dial. Call it before Revoke.
func (c *Client) DialThrough(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	c.transport.DialContext = dial
}
