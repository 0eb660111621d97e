package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// pending bounds the requests that have begun and are not read yet, over gRPC and REST
// together. Each holds memory before it is known who calls, so their number is limited,
// and so is the time that each may take.
type pending struct {
	limit   int64
	timeout time.Duration
	count   atomic.Int64
	// rejected counts the requests that came beyond the limit or took too long.
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

// pendingCall is a gRPC call from its header to its message.
type pendingCall struct {
	method string
	// read is set when the message is there.
	read atomic.Bool
	// done releases the call. It is called once.
	done func()
}

type pendingKey struct{}

// tap returns a hook for the headers of gRPC calls. grpc-go itself waits for a message as
// long as the client likes.
func (p *pending) tap(o *observer) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
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
		call := &pendingCall{method: info.FullMethodName, done: sync.OnceFunc(func() {
			timeout.Stop()
			p.release()
		})}
		context.AfterFunc(ctx, call.done) // the client has gone
		return context.WithValue(ctx, pendingKey{}, call), nil
	}
}

// read is the interceptor that ends what tap began: grpc-go calls interceptors when the
// message is there.
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
