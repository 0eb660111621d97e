package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// heldUpstream answers when it is let go, and tells when it was asked.
type heldUpstream struct {
	asked chan struct{}
	free  chan struct{}
}

func newHeldUpstream() heldUpstream {
	return heldUpstream{asked: make(chan struct{}, 10), free: make(chan struct{})}
}

func (u heldUpstream) Revoke(ctx context.Context, _ slashid.Request) slashid.Result {
	u.asked <- struct{}{}
	select {
	case <-u.free:
		return slashid.Result{Kind: slashid.Revoked, Status: http.StatusNoContent, Sent: true}
	case <-ctx.Done():
		return slashid.Result{Kind: slashid.Cancelled, Sent: true, Err: ctx.Err()}
	}
}

// begin starts a call in the background, and returns its answer's channel.
func begin[T any](call func() T) <-chan T {
	answer := make(chan T, 1)
	go func() { answer <- call() }()
	return answer
}

// beginDropIn starts a call whose answer is its HTTP status, 0 when there was none.
func beginDropIn(t *testing.T, f *facade) <-chan int {
	return begin(func() int {
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, f.url(dropInPath), strings.NewReader(`{"token":"a.b.c"}`))
		if err != nil {
			return 0
		}
		resp, err := f.http.Do(req)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode
	})
}

func TestShutdownOrder(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream)
	watch, err := healthv1.NewHealthClient(f.conn).Watch(t.Context(),
		&healthv1.HealthCheckRequest{Service: quashv1.TokenService_ServiceDesc.ServiceName})
	if err != nil {
		t.Fatal(err)
	}
	expectHealth(t, watch, healthv1.HealthCheckResponse_SERVING)
	expectStatus(t, f.adminURL("/readyz"), http.StatusOK)

	overREST := beginDropIn(t, f)
	<-upstream.asked
	stopped := begin(f.stop)

	// It says at once that no more calls should come, on every channel there is.
	expectHealth(t, watch, healthv1.HealthCheckResponse_NOT_SERVING)
	expectStatus(t, f.adminURL("/readyz"), http.StatusServiceUnavailable)
	expectStatus(t, f.adminURL("/livez"), http.StatusOK)

	// REST goes first, and waits for its call; gRPC still serves until then.
	overGRPC := begin(func() error {
		_, err := f.grpc.Revoke(context.WithoutCancel(t.Context()), &quashv1.RevokeRequest{Token: "a.b.c"})
		return err
	})
	<-upstream.asked
	close(upstream.free)
	if got := <-overREST; got != http.StatusNoContent {
		t.Errorf("the REST call that was in progress got %d, want 204", got)
	}
	if err := <-overGRPC; err != nil {
		t.Errorf("the gRPC call that was in progress: %v", err)
	}
	if err := f.conn.Close(); err != nil { // ends the watch, which gRPC waits for as for any call
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, addr := range []net.Addr{f.addrs.GRPC, f.addrs.HTTP, f.addrs.Admin} {
		if conn, err := net.Dial("tcp", addr.String()); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still served", addr)
		}
	}
}

// A call that outlasts the drain is cut off, and that is not kept quiet.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) {
		cfg.DrainTimeout = time.Millisecond
	})
	overREST := beginDropIn(t, f)
	<-upstream.asked
	overGRPC := begin(func() error {
		_, err := f.grpc.Revoke(context.WithoutCancel(t.Context()), &quashv1.RevokeRequest{Token: "a.b.c"})
		return err
	})
	<-upstream.asked
	err := f.stop()
	for _, want := range []string{"calls over REST were cut off", "calls over gRPC were cut off"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run: %v, want %q", err, want)
		}
	}
	<-overREST
	if err := <-overGRPC; status.Code(err) != codes.Unavailable {
		t.Errorf("the gRPC call that was cut off: %v", err)
	}
}

func TestNewReportsEveryTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	svc, err := service.New(service.Config{Upstream: revokesAll})
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.New(t.Context(), server.Config{
		Service:   svc,
		GRPCAddr:  taken.Addr().String(),
		HTTPAddr:  free.Addr().String(),
		AdminAddr: taken.Addr().String(),
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{"--grpc-addr " + taken.Addr().String(), "--admin-addr " + taken.Addr().String()} {
		if !strings.Contains(err.Error(), want+" is taken") {
			t.Errorf("the error does not say that %s is taken: %v", want, err)
		}
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Errorf("what could be bound stays bound: %v", err)
	} else {
		_ = again.Close()
	}
}

func expectHealth(t *testing.T, watch healthv1.Health_WatchClient, want healthv1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	got, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetStatus() != want {
		t.Errorf("health: %s, want %s", got.GetStatus(), want)
	}
}

func expectStatus(t *testing.T, url string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
	}
}
