package client

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// attempt is one call of gRPC's. It is in the attempt's context.
type attempt struct {
	// sent: the request may have left. While it has not, it certainly did nothing.
	sent atomic.Bool
}

type attemptKey struct{}

// sent learns from gRPC's statistics whether the request of an attempt has left. The
// error does not say: a connection that is lost and one that was never made both end in
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
