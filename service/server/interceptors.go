package server

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc"

	"github.com/quashdev/quash/service"
)

// interceptors is the chain of every unary call, from whichever door, outermost
// first.
func interceptors(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return chain(
		recovery(logger),
	)
}

// chain makes one interceptor of several. grpc-go has this for its own servers
// only, and the in-process channel must run the very same chain.
func chain(interceptors ...grpc.UnaryServerInterceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		next := handler
		for _, interceptor := range slices.Backward(interceptors) {
			inner := next
			next = func(ctx context.Context, req any) (any, error) {
				return interceptor(ctx, req, info, inner)
			}
		}
		return next(ctx, req)
	}
}

// recovery turns a panic into the table's answer for a defect of our own.
func recovery(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if value := recover(); value != nil {
				logPanic(ctx, logger, info.FullMethod, value)
				resp, err = nil, service.Internal(nil)
			}
		}()
		return handler(ctx, req)
	}
}

// logPanic writes where a panic came from. The value itself is left out unless
// it is the runtime's, for it may have been made from a request; a stack holds
// addresses, never texts.
func logPanic(ctx context.Context, logger *slog.Logger, where string, value any) {
	cause := slog.String("type", typeName(value))
	if err, ok := value.(runtime.Error); ok {
		cause = slog.String("cause", err.Error())
	}
	logger.LogAttrs(ctx, slog.LevelError, "panic",
		slog.String("in", where), cause, slog.String("stack", string(debug.Stack())))
}
