package client_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// fake is what does to clients what a quash never would, at a test's word.
type fake struct {
	quashv1.UnimplementedTokenServiceServer

	addr   string
	server *grpc.Server
	health *health.Server
	// revoke answers; nil is success.
	revoke func(ctx context.Context) error
}

func (f *fake) Revoke(ctx context.Context, _ *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	if f.revoke != nil {
		if err := f.revoke(ctx); err != nil {
			return nil, err
		}
	}
	return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
}

// startFake serves a fake until the test ends.
func startFake(t *testing.T, configure ...func(*fake)) *fake {
	t.Helper()
	l := listen(t)
	f := &fake{addr: l.Addr().String(), server: grpc.NewServer(), health: health.NewServer()}
	for _, c := range configure {
		c(f)
	}
	f.health.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(f.server, f.health)
	quashv1.RegisterTokenServiceServer(f.server, f)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	t.Cleanup(func() {
		f.server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// incoming returns the first value of a header of the call.
func incoming(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
