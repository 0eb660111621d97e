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
// error does not say: a connection that is lost and one that never was both end in
// UNAVAILABLE, and time runs out in either.
type sent struct{}

// HandleRPC implements stats.Handler.
func (sent) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	switch event.(type) {
	case *stats.Begin:
		// The first, or one of those that gRPC repeats because the server has said that
		// it did not look at the one before.
		a.sent.Store(false)
	case *stats.OutPayload:
		a.sent.Store(true)
	}
}

// TagRPC implements stats.Handler.
func (sent) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (sent) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (sent) HandleConn(context.Context, stats.ConnStats) {}
