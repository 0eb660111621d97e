package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// begin starts a call in the background and returns the channel of its response.
func begin[T any](call func() T) <-chan T {
	answer := make(chan T, 1)
	go func() { answer <- call() }()
	return answer
}

// begin starts a call in the background. The channel gets its response, or "" if there is none.
func (f *facade) begin(ctx context.Context, endpoint string) <-chan string {
	return begin(func() string {
		answer, _ := f.Ask(ctx, endpoint, &quashv1.RevokeRequest{Token: "a.b.c"})
		return answer.Text
	})
}

func TestShutdownOrder(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) { cfg.DrainDelay = 2 * time.Second })
	watch, err := healthv1.NewHealthClient(f.Conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: "quash.v1.TokenService"})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(health healthv1.HealthCheckResponse_ServingStatus, ready int) {
		t.Helper()
		if got, err := watch.Recv(); err != nil || got.GetStatus() != health {
			t.Errorf("health: %s, %v, want %s", got.GetStatus(), err, health)
		}
		if got, _ := f.getAdmin(t, "/readyz"); got != ready {
			t.Errorf("/readyz: %d, want %d", got, ready)
		}
		if got, _ := f.getAdmin(t, "/livez"); got != http.StatusOK {
			t.Errorf("/livez: %d", got)
		}
	}
	expect(healthv1.HealthCheckResponse_SERVING, http.StatusOK)
	overREST := f.begin(t.Context(), quashtest.DropIn)
	<-upstream.asked
	stopped := begin(f.Shutdown)

	// Health and /readyz report at once that the server is not ready.
	expect(healthv1.HealthCheckResponse_NOT_SERVING, http.StatusServiceUnavailable)
	// Calls are still served, but their connections are closed.
	if resp, _ := f.request(t, http.MethodGet, f.URL, nil, nil); resp.StatusCode != http.StatusNotFound || !resp.Close {
		t.Errorf("a call before the end of DrainDelay: %s, closes the connection: %t", resp.Status, resp.Close)
	}
	// The server ends the watch, which would delay the shutdown.
	if _, err := watch.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("the watch: %v", err)
	}
	// gRPC closes its connections while REST waits for its call, so that gRPC clients reconnect
	// to another instance.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !f.Conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Error("gRPC keeps its connections")
	}
	select {
	case got := <-overREST:
		t.Errorf("the REST call in progress got %s before SlashID answered", got)
	default:
	}
	close(upstream.free)
	if got := <-overREST; got != "204" {
		t.Errorf("the REST call in progress got %s, want 204", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, addr := range []string{f.Addr, f.httpAddr(), strings.TrimPrefix(f.AdminURL, "http://")} {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still served", addr)
		}
	}
}

// A call that takes longer than DrainTimeout is cut off, and Run returns an error.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) { cfg.DrainTimeout = time.Millisecond })
	overREST, overGRPC := f.begin(t.Context(), quashtest.DropIn), f.begin(t.Context(), quashtest.GRPC)
	<-upstream.asked
	<-upstream.asked
	err := f.Shutdown()
	if want := "2 revocations in flight were cancelled"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v, want %q", err, want)
	}
	<-overREST
	if got := <-overGRPC; got == "OK REVOKED" {
		t.Errorf("the gRPC call that was cut off got %s", got)
	}
}

// The shutdown waits for revocations in the background.
func TestShutdownWaitsForTheBackground(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream)
	ctx, cancel := context.WithCancel(t.Context())
	call := f.begin(ctx, quashtest.GRPC)
	<-upstream.asked
	cancel()
	<-call
	stopped := begin(f.Shutdown)
	select {
	case err := <-stopped:
		t.Fatalf("Run did not wait: %v", err)
	case upstream.free <- struct{}{}: // the attempt still waits for it
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// The context may end before the listeners serve.
func TestShutdownAtOnce(t *testing.T) {
	t.Parallel()
	for range 50 {
		if err := startFacade(t, revokesAll).Shutdown(); err != nil {
			t.Fatalf("Run: %v", err)
		}
	}
}

// Connections that have sent no request are closed when the shutdown begins, even while calls
// are in progress: net/http would wait for them.
func TestShutdownClosesNewConnections(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	// Less than the five seconds that net/http would wait: the call is cut off then.
	f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) { cfg.DrainTimeout = 4 * time.Second })
	idle, err := net.Dial("tcp", f.httpAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	overREST := f.begin(t.Context(), quashtest.DropIn)
	<-upstream.asked
	stopped := begin(f.Shutdown)
	_, _ = io.ReadAll(idle) // until it is closed
	close(upstream.free)
	if got := <-overREST; got != "204" {
		t.Errorf("the call in progress got %s, want 204", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A client that does not send its whole request gets a response, and its connection is closed.
// A gRPC connection without any data is closed too; grpc-go's default is to wait two minutes.
func TestStalledClients(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), func(_ *service.Config, cfg *server.Config) {
		cfg.Limits.TransferTimeout, cfg.Limits.HeaderTimeout = 50*time.Millisecond, 50*time.Millisecond
	})
	stall := func(addr, said string) string {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // until the server closes it
		if err != nil {
			t.Errorf("%q: %v", said, err)
		}
		return string(answer)
	}
	for _, line := range []string{"POST /token/revoke", "POST /v1/tokens:revoke", "GET /token/revoke", "POST /elsewhere"} {
		answer := stall(f.httpAddr(), line+" HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		if !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%s: %q", line, answer)
		}
	}
	stall(f.Addr, "")
}

// TransferTimeout does not end calls that wait for their answer.
func TestTransferTimeoutDoesNotEndCalls(t *testing.T) {
	t.Parallel()
	const timeout = time.Second // long enough for the body to arrive on a busy machine
	f := startFacade(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
		select {
		case <-ctx.Done():
			return slashid.Result{Sent: true, Err: ctx.Err()}
		case <-time.After(timeout + timeout/2):
			return slashid.Result{Status: http.StatusNoContent, Sent: true}
		}
	}), func(_ *service.Config, cfg *server.Config) { cfg.Limits.TransferTimeout = timeout })
	if got := <-f.begin(t.Context(), quashtest.DropIn); got != "204" {
		t.Errorf("status %s", got)
	}
}
