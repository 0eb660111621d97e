package server

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// maxMessage is the largest request that is read, in bytes, over gRPC and over
// REST alike: four times the longest token.
const maxMessage = 64 << 10

// newGRPC builds the gRPC server with the token service, health and, where it is
// wanted, reflection.
func newGRPC(
	service quashv1.TokenServiceServer,
	unary grpc.UnaryServerInterceptor, stream grpc.StreamServerInterceptor, withReflection bool,
) (*grpc.Server, *health.Server) {
	s := grpc.NewServer(
		grpc.UnaryInterceptor(unary),
		grpc.StreamInterceptor(stream),
		grpc.MaxRecvMsgSize(maxMessage),
		// Stop returns only after the last handler has: what they use is closed
		// after it.
		grpc.WaitForHandlers(true),
	)
	quashv1.RegisterTokenServiceServer(s, service)
	status := health.NewServer()
	status.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s, status)
	if withReflection {
		reflection.Register(s)
	}
	return s, status
}
