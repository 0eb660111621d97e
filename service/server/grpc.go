package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // callers may compress
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// newGRPC builds the gRPC server: token service, health and, if enabled, reflection.
// Streams end when the context streams ends.
func newGRPC(streams context.Context, cfg Config, pending *pending, observer *observer) (*grpc.Server, *health.Server) {
	limits := cfg.Limits
	stream := []grpc.StreamServerInterceptor{unwatched, endWith(streams), atMostStreams(streamsAtOnce)}
	if cfg.AllowedCallers != nil {
		stream = append(stream, onlyAllowedStreams(cfg.AllowedCallers, cfg.Logger)) //nolint:contextcheck // it has each stream's own
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(chain(read, interceptors(cfg, observer))),
		grpc.ChainStreamInterceptor(stream...),
		grpc.InTapHandle(pending.tap(observer)),
		// Workers are reused, with stacks that have grown already. When all are busy,
		// grpc-go starts more goroutines.
		grpc.NumStreamWorkers(streamWorkers),
		grpc.StatsHandler(overGRPC{observer.calls, observer}),
		grpc.MaxRecvMsgSize(limits.RequestBytes),
		grpc.MaxHeaderListSize(uint32(limits.HeaderBytes)),             //nolint:gosec // a flag bounds it
		grpc.MaxConcurrentStreams(uint32(limits.StreamsPerConnection)), //nolint:gosec // a flag bounds it
		grpc.StaticStreamWindowSize(receiveWindow),
		grpc.StaticConnWindowSize(1 << 20),
		// GracefulStop also waits up to this long for connections that are being set up.
		grpc.ConnectionTimeout(limits.HeaderTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle:     limits.IdleTimeout,
			MaxConnectionAge:      limits.ConnectionAge,
			MaxConnectionAgeGrace: ageGrace,
			Time:                  pingAfter,
			Timeout:               pingTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             limits.PingInterval,
			PermitWithoutStream: true,
		}),
		grpc.UnknownServiceHandler(noSuchMethod),
		// Stop must wait for the handlers: what they use is closed afterwards.
		grpc.WaitForHandlers(true),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(cfg.TLS.grpcCredentials(cfg.Logger)))
	}
	s := grpc.NewServer(options...)
	quashv1.RegisterTokenServiceServer(s, cfg.Service)
	serving := health.NewServer()
	serving.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s, serving)
	if cfg.Reflection {
		reflection.Register(s)
	}
	return s, serving
}

// noSuchMethod answers calls of unknown methods. grpc-go's own answer quotes the method
// name, which may contain anything, even a token.
func noSuchMethod(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown method; call "+quashv1.TokenService_Revoke_FullMethodName)
}
