package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/slashid"
)

// revokesAll revokes every token at once.
var revokesAll = upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
	req.BeforeSend()
	return slashid.Result{Status: http.StatusNoContent, Sent: true}
})

// slowly revokes every token after a minute.
var slowly = upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
	time.Sleep(time.Minute)
	return revokesAll(ctx, req)
})

// inMemory is a quash that serves over pipes, so that it can run in fake time.
type inMemory struct {
	grpc   *bufconn.Listener
	rest   pipeListener
	secure bool // REST over TLS, and so over HTTP/2
	// dials counts the connections of REST and gRPC clients.
	dials atomic.Int32
}

// serveInMemory runs a quash in memory, in or outside of a synctest bubble.
func serveInMemory(t *testing.T, margin time.Duration, upstream service.Upstream, limits Limits, secure bool) *inMemory {
	t.Helper()
	svc, err := service.New(service.Config{Upstream: upstream, DeadlineMargin: margin})
	if err != nil {
		t.Fatal(err)
	}
	m := &inMemory{grpc: bufconn.Listen(1 << 20), rest: newPipeListener(), secure: secure}
	cfg := Config{Service: svc, Limits: limits.orDefaults(), Logger: slog.New(slog.DiscardHandler), Telemetry: telemetry.None()}
	observer, err := newObserver(t.Context(), cfg.Telemetry, cfg.Logger)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		certificate := pkitest.SelfSigned(&x509.Certificate{})
		cfg.TLS = &TLS{Certificate: func() *tls.Certificate { return &certificate }}
	}
	pending := newPending(cfg.Limits)
	handler, err := newREST(t.Context(), cfg, pending, observer)
	if err != nil {
		t.Fatal(err)
	}
	var ready atomic.Bool
	ready.Store(true)
	overREST := newHTTPServer(closeOnDrain(handler, &ready, cfg.Limits.ConnectionAge), cfg.Limits, cfg.Logger)
	restTLS := cfg.TLS
	cfg.TLS = nil
	overGRPC, _ := newGRPC(t.Context(), cfg, pending, observer)
	var serving sync.WaitGroup
	serving.Go(func() { _ = overGRPC.Serve(m.grpc) })
	serving.Go(func() { _ = restTLS.serveHTTP(overREST, m.rest) })
	t.Cleanup(func() {
		_ = overREST.Close()
		overGRPC.Stop()
		serving.Wait()
		svc.Drain()
		if err := svc.Wait(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *inMemory) dialGRPC(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:quash", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			m.dials.Add(1)
			return m.grpc.DialContext(ctx)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (m *inMemory) dialREST(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			m.dials.Add(1)
			return m.rest.dial(ctx)
		},
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (m *inMemory) url(path string) string {
	if m.secure {
		return "https://quash" + path
	}
	return "http://quash" + path
}

// pipeListener is a listener for REST. net/http sets and clears deadlines, which bufconn
// sometimes loses.
type pipeListener struct {
	accept chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipeListener() pipeListener {
	closed := make(chan struct{})
	return pipeListener{make(chan net.Conn), closed, sync.OnceFunc(func() { close(closed) })}
}

func (l pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.accept <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accept:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	l.close()
	return nil
}

func (l pipeListener) Addr() net.Addr { return new(net.UnixAddr) }
