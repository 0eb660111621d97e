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
	f := startFacade(t, revokesAll)
	health := healthv1.NewHealthClient(f.Conn)
	for _, name := range []string{"", "quash.v1.TokenService"} {
		resp, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
		if err != nil || resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("%q: %s, %v", name, resp.GetStatus(), err)
		}
	}
	_, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "another.Service"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("a service that is not here: %v", err)
	}
}

func TestReflectionNeedsItsFlag(t *testing.T) {
	t.Parallel()
	for _, enabled := range []bool{false, true} {
		f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) { cfg.Reflection = enabled })
		stream, err := reflectionv1.NewServerReflectionClient(f.Conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ask := &reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		}
		// Where there is no such service the stream may end before it is written to.
		_ = stream.Send(ask)
		resp, err := stream.Recv()
		if !enabled {
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("disabled: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range resp.GetListServicesResponse().GetService() {
			names = append(names, s.GetName())
		}
		if !strings.Contains(strings.Join(names, " "), "quash.v1.TokenService") {
			t.Errorf("enabled: services %q", names)
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	}
}

// What is larger than a request can be is refused before it is decoded.
func TestLargestMessage(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	_, err := f.grpc.Revoke(t.Context(), &quashv1.RevokeRequest{Token: strings.Repeat("a", 64<<10)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("64 KiB of token: %v", status.Code(err))
	}
}

// A caller of what there is not is told so, without the name that it used.
func TestNoSuchMethod(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, method := range []string{
		"/quash.v1.TokenService/header.claims.signature", "/header.claims.signature/Revoke",
		"/quash.v1.TokenService/Revoke/header.claims.signature", "/quash.v1.TokenService/Revoke?token=header.claims.signature",
	} {
		err := f.Conn.Invoke(t.Context(), method, &quashv1.RevokeRequest{}, &quashv1.RevokeResponse{})
		if got, want := status.Convert(err).Message(), "there is no such method; /quash.v1.TokenService/Revoke is one"; status.Code(err) != codes.Unimplemented || got != want {
			t.Errorf("%s: %v, want Unimplemented: %s", method, err, want)
		}
	}
}
