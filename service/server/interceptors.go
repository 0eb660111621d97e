package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quashdev/quash/service"
)

// interceptors is the chain of every unary call, from whichever endpoint, outermost
// first.
func interceptors(cfg Config, observer *observer) grpc.UnaryServerInterceptor {
	innermost := recovery(cfg.Logger)
	if cfg.AllowedCallers != nil {
		innermost = chain(innermost, onlyAllowed(cfg.AllowedCallers))
	}
	return chain(pushback, observer.intercept, innermost)
}

// chain makes one interceptor of several, the first outermost. grpc-go has this for its
// own servers only, and calls in the process must run through the very same chain.
func chain(first grpc.UnaryServerInterceptor, others ...grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	if len(others) == 0 {
		return first
	}
	rest := chain(others[0], others[1:]...)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return first(ctx, req, info, func(ctx context.Context, req any) (any, error) {
			return rest(ctx, req, info, handler)
		})
	}
}

// recovery turns a panic into the table's answer for a defect of our own.
func recovery(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if value := recover(); value != nil {
				service.LogPanic(ctx, logger, info.FullMethod, value)
				resp, err = nil, service.Internal(nil)
			}
		}()
		return handler(ctx, req)
	}
}

// endWith ends streams together with ctx. The only ones are those of health, which
// wait for news for ever, and of reflection.
func endWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		streamCtx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handler(srv, endingStream{stream, streamCtx})
	}
}

type endingStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // as the interface has it
}

func (s endingStream) Context() context.Context { return s.ctx }

// RecvMsg marks the stream as read with its first message; for calls the interceptor
// read does. grpc-go's own does not hear of the end of ctx: reflection would
// wait for its client's next question to the end of the shutdown.
func (s endingStream) RecvMsg(m any) error {
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		markRead(s.ctx)
		return err
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

// atMostStreams refuses streams beyond so many. Each may last as long as its
// connection, and takes no place among the calls in flight.
func atMostStreams(n int) grpc.StreamServerInterceptor {
	places := make(chan struct{}, n)
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			return handler(srv, stream)
		default:
			return status.Error(codes.ResourceExhausted, "too many health and reflection streams are open")
		}
	}
}

// unwatched refuses to watch health with UNIMPLEMENTED. grpc-go's
// clients that watch by themselves then do without, and their calls hear what is wrong.
// After any other code they hold back all calls, as if quash were ill (gRFC A17).
func unwatched(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	code := status.Code(err)
	if info.FullMethod != healthv1.Health_Watch_FullMethodName || code != codes.PermissionDenied && code != codes.ResourceExhausted {
		return err
	}
	st := status.Convert(err).Proto()
	st.Code = int32(codes.Unimplemented)
	return status.ErrorProto(st)
}

// pushbackTrailer tells a retrying gRPC client when to come back, in milliseconds;
// a negative value tells it not to (gRFC A6).
const pushbackTrailer = "grpc-retry-pushback-ms"

// pushback gives every error the trailer that says the same as its RetryInfo.
func pushback(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if own, ok := errors.AsType[*service.Error](err); ok {
		ms := int64(-1)
		if delay, ok := own.Pushback(); ok {
			ms = delay.Milliseconds()
		}
		// It fails over REST, which has no trailers.
		_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackTrailer, strconv.FormatInt(ms, 10)))
	}
	return resp, err
}
