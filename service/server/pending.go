package server

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// pending limits the requests that have started and are not read yet, over gRPC and REST
// together: their number and their time. They hold memory before their caller is checked.
type pending struct {
	limit   int64
	timeout time.Duration
	count   atomic.Int64
	// rejected counts requests over the limit, and requests that took too long.
	rejected atomic.Int64
}

func newPending(limits Limits) *pending {
	return &pending{limit: int64(limits.Pending), timeout: limits.TransferTimeout}
}

// acquire reports whether there is room for another request. If so, the caller must call
// release once it has read the request.
func (p *pending) acquire() bool {
	if p.count.Add(1) > p.limit {
		p.count.Add(-1)
		p.rejected.Add(1)
		return false
	}
	return true
}

func (p *pending) release() { p.count.Add(-1) }

// pendingCall is a gRPC call whose header has arrived.
type pendingCall struct {
	method string
	// read is set when the message has arrived.
	read atomic.Bool
	// done releases the call. It has an effect only once.
	done func()
}

type pendingKey struct{}

// tap returns a hook that runs when the header of a gRPC call arrives. Without it grpc-go
// would wait for the message without a timeout.
func (p *pending) tap(o *observer) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		// This goroutine reads the connection. In a burst it can start calls faster than their
		// goroutines get CPU time, although their messages have arrived: let those run first.
		// grpc-go holds a lock of the connection meanwhile. Reading a message does not need it; the
		// responses on the connection may wait until the scheduler continues here.
		if p.count.Load() > p.limit/2 {
			runtime.Gosched()
		}
		if !p.acquire() {
			err := service.Overloaded()
			if info.FullMethodName == quashv1.TokenService_Revoke_FullMethodName {
				o.failed(ctx, err)
			}
			return nil, err.GRPCStatus().Err()
		}
		ctx, cancel := context.WithCancel(ctx)
		timeout := time.AfterFunc(p.timeout, func() {
			p.rejected.Add(1)
			cancel()
		})
		release := func() {
			timeout.Stop()
			p.release()
		}
		stop := context.AfterFunc(ctx, release) // cancelled or disconnected
		call := &pendingCall{method: info.FullMethodName, done: func() {
			if stop() {
				release()
			}
		}}
		return context.WithValue(ctx, pendingKey{}, call), nil
	}
}

// read is the interceptor that ends the pending phase that tap started. grpc-go calls
// interceptors after the message has arrived.
func read(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	markRead(ctx)
	return handler(ctx, req)
}

func markRead(ctx context.Context) {
	if call, ok := ctx.Value(pendingKey{}).(*pendingCall); ok {
		call.read.Store(true)
		call.done()
	}
}
