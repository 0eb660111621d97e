package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

func TestHealthPerService(t *testing.T) {
	t.Parallel()
	health := healthv1.NewHealthClient(startFacade(t, revokesAll).Conn)
	for name, want := range map[string]codes.Code{"": codes.OK, "quash.v1.TokenService": codes.OK, "another.Service": codes.NotFound} {
		resp, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if status.Code(err) != want || err == nil && resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %s, %v", name, resp.GetStatus(), err)
		}
	}
}

func TestReflectionNeedsItsFlag(t *testing.T) {
	t.Parallel()
	for enabled, want := range map[bool]codes.Code{false: codes.Unimplemented, true: codes.OK} {
		f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) { cfg.Reflection = enabled })
		stream, err := reflectionv1.NewServerReflectionClient(f.Conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// If the service is unknown, the stream may end before Send.
		_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		resp, err := stream.Recv()
		if status.Code(err) != want || err == nil && !strings.Contains(resp.String(), "quash.v1.TokenService") {
			t.Errorf("enabled %t: %v, %v", enabled, resp, err)
		}
		_ = stream.CloseSend()
	}
}

// A message that is too large is rejected before it is decoded.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	_, err := f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: strings.Repeat("a", 64<<10)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("64 KiB of token: %v", status.Code(err))
	}
}

// The error for an unknown method does not quote its name.
func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, method := range []string{
		"/quash.v1.TokenService/header.claims.signature", "/header.claims.signature/Revoke",
		"/quash.v1.TokenService/Revoke/header.claims.signature", "/quash.v1.TokenService/Revoke?token=header.claims.signature",
	} {
		st := status.Convert(f.Conn.Invoke(t.Context(), method, &quashv1.RevokeRequest{}, &quashv1.RevokeResponse{}))
		if st.Code() != codes.Unimplemented || st.Message() != "unknown method; call /quash.v1.TokenService/Revoke" {
			t.Errorf("%s: %v", method, st)
		}
	}
}
