package server_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// heldUpstream answers when it is let go, and tells when it was asked.
type heldUpstream struct {
	asked chan struct{}
	free  chan struct{}
}

func newHeldUpstream() heldUpstream { return newHeldUpstreamFor(10) }

// newHeldUpstreamFor can be asked so many times without anybody noticing.
func newHeldUpstreamFor(calls int) heldUpstream {
	return heldUpstream{asked: make(chan struct{}, calls), free: make(chan struct{})}
}

// Revoke implements service.Upstream.
func (u heldUpstream) Revoke(ctx context.Context, req slashid.Request) slashid.Result {
	if !req.BeforeSend() {
		return slashid.Result{Err: slashid.ErrNotSent}
	}
	u.asked <- struct{}{}
	select {
	case <-u.free:
		return slashid.Result{Status: http.StatusNoContent, Sent: true}
	case <-ctx.Done():
		return slashid.Result{Sent: true, Err: ctx.Err()}
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

	// The watch would hold up the shutdown for ever, so it is ended.
	if _, err := watch.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("the watch: %v", err)
	}

	// gRPC lets its callers go, so that they find another instance, while REST waits
	// for its call.
	patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !f.conn.WaitForStateChange(patience, connectivity.Ready) {
		t.Error("gRPC keeps its connections")
	}
	select {
	case got := <-overREST:
		t.Errorf("the REST call that was in progress got %d before its time", got)
	default:
	}
	close(upstream.free)
	if got := <-overREST; got != http.StatusNoContent {
		t.Errorf("the REST call that was in progress got %d, want 204", got)
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
	if want := "2 revocations in progress were cut off"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v, want %q", err, want)
	}
	<-overREST
	if err := <-overGRPC; err == nil {
		t.Error("the gRPC call that was cut off succeeded")
	}
}

// What was sent without its caller is waited for.
func TestShutdownWaitsForTheBackground(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	f := startFacade(t, upstream)
	ctx, cancel := context.WithCancel(t.Context())
	call := begin(func() error {
		_, err := f.grpc.Revoke(ctx, &quashv1.RevokeRequest{Token: "a.b.c"})
		return err
	})
	<-upstream.asked
	cancel()
	<-call
	stopped := begin(f.stop)
	select {
	case err := <-stopped:
		t.Fatalf("Run did not wait: %v", err)
	case upstream.free <- struct{}{}: // the attempt is still there to take it
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A signal may come before the listeners are served.
func TestShutdownAtOnce(t *testing.T) {
	t.Parallel()
	for range 50 {
		f := startFacade(t, revokesAll)
		if err := f.stop(); err != nil {
			t.Fatalf("Run: %v", err)
		}
	}
}

// A client that does not send what it announced is answered, and does not hold up
// the shutdown.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	const patience = 50 * time.Millisecond
	f := startFacade(t, neverCalled(t), func(_ *service.Config, cfg *server.Config) { cfg.Limits.TransferTimeout = patience })
	for _, head := range []string{
		"POST /token/revoke", "POST /v1/tokens:revoke", "GET /token/revoke", "POST /elsewhere",
	} {
		conn, err := net.Dial("tcp", f.addrs.HTTP.String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, head+" HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // until the server closes it
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%s: %q, %v", head, answer, err)
		}
		_ = conn.Close()
	}
}

// A client that connects and keeps silent does not hold up the shutdown either, by the
// two minutes that gRPC would give it.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), func(_ *service.Config, cfg *server.Config) { cfg.Limits.HeaderTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", f.addrs.GRPC.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // until the server closes it
		t.Error(err)
	}
}

// The patience with bodies is none with calls: one may take its two minutes.
func TestPatienceDoesNotEndCalls(t *testing.T) {
	t.Parallel()
	const patience = time.Second // generous, for the body must arrive within it
	f := startFacade(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
		select {
		case <-ctx.Done():
			return slashid.Result{Sent: true, Err: ctx.Err()}
		case <-time.After(patience + patience/2):
			return slashid.Result{Status: http.StatusNoContent, Sent: true}
		}
	}), func(_ *service.Config, cfg *server.Config) { cfg.Limits.TransferTimeout = patience })
	if got := <-beginDropIn(t, f); got != http.StatusNoContent {
		t.Errorf("status %d", got)
	}
}

// reasonOf is the reason in an error of gRPC's.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func TestNewReportsEveryTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	// An address that nothing else here binds to, so that it stays free.
	free, err := net.Listen("tcp", "127.77.0.1:0")
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

// Over real sockets, 200 calls whose deadlines pass at one moment all receive their
// details. The margin is generous, because the machines that run this are not.
func TestDetailsArriveInRealTime(t *testing.T) {
	t.Parallel()
	const callers = 200
	f := startFacade(t, newHeldUpstreamFor(callers), func(svc *service.Config, cfg *server.Config) {
		svc.DeadlineMargin = 2 * time.Second
		cfg.DrainTimeout = time.Nanosecond // what is still held is of no interest
		cfg.Logger = slog.New(slog.DiscardHandler)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var detailed atomic.Int32
	var calls sync.WaitGroup
	for range callers {
		calls.Go(func() {
			_, err := f.grpc.Revoke(ctx, &quashv1.RevokeRequest{Token: "a.b.c"})
			if reasonOf(err) == "UPSTREAM_TIMEOUT" {
				detailed.Add(1)
			}
		})
	}
	calls.Wait()
	if got := detailed.Load(); got != callers {
		t.Errorf("%d of %d calls received their details", got, callers)
	}
	_ = f.stop() // it says what it cut off
}
