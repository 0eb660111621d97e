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

// interceptors returns the chain for unary calls from every endpoint.
func interceptors(cfg Config, observer *observer) grpc.UnaryServerInterceptor {
	innermost := recovery(cfg.Logger)
	if cfg.AllowedCallers != nil {
		innermost = chain(innermost, onlyAllowed(cfg.AllowedCallers))
	}
	return chain(pushback, observer.intercept, innermost)
}

// chain combines interceptors; the first is the outermost. grpc.ChainUnaryInterceptor works
// only for a gRPC server, and in-process calls must run through the same chain.
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

// recovery turns a panic into an INTERNAL error, and logs it without its value.
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

// endWith ends streams when ctx ends. The streams are health watches, which never end on
// their own, and reflection.
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

	ctx context.Context //nolint:containedctx // grpc.ServerStream has a Context method
}

func (s endingStream) Context() context.Context { return s.ctx }

// RecvMsg marks the stream as read after its first message, as the interceptor read does
// for unary calls. It returns when the context ends. grpc-go's RecvMsg does not, so an open
// reflection stream would delay the shutdown until its timeout.
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

// atMostStreams limits the number of open streams. A stream may last as long as its
// connection, and the limit on calls in flight does not count it.
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

// unwatched rejects a health watch with UNIMPLEMENTED instead of PERMISSION_DENIED or
// RESOURCE_EXHAUSTED. Clients with automatic health checks then disable the check, and their
// calls get the real error. After any other code they send no calls at all, as if the server
// were unhealthy (gRFC A17).
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

// pushbackTrailer is the trailer with the retry delay for gRPC clients, in milliseconds. A
// negative value means: do not retry (gRFC A6).
const pushbackTrailer = "grpc-retry-pushback-ms"

// pushback adds pushbackTrailer to every error, with the delay of its RetryInfo.
func pushback(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if own, ok := errors.AsType[*service.Error](err); ok {
		ms := int64(-1)
		if delay, ok := own.Pushback(); ok {
			ms = delay.Milliseconds()
		}
		// This fails for REST calls, which have no trailers; the error does not matter.
		_ = grpc.SetTrailer(ctx, metadata.Pairs(pushbackTrailer, strconv.FormatInt(ms, 10)))
	}
	return resp, err
}
