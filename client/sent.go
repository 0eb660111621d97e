package client

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// attempt is one gRPC call. Its context contains it.
type attempt struct {
	// sent is whether the request may have been sent. If not, it certainly did nothing.
	sent atomic.Bool
}

type attemptKey struct{}

// sent is a stats handler that records whether the request of an attempt was sent. The error
// does not show it: with a lost connection and without a connection it is the same
// UNAVAILABLE or DEADLINE_EXCEEDED.
type sent struct{}

// HandleRPC implements stats.Handler.
func (sent) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	if _, ok := event.(*stats.OutPayload); ok {
		a.sent.Store(true)
	}
}

// TagRPC implements stats.Handler.
func (sent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (sent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (sent) HandleConn(context.Context, stats.ConnStats) {}
