package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

const testAPIKey = "the-key-of-quash-itself"

// facade is a running server, with a client for each door.
type facade struct {
	addrs server.Addrs
	grpc  quashv1.TokenServiceClient
	conn  *grpc.ClientConn
	http  *http.Client
	// stop ends the server as a signal would, and returns what Run returned.
	stop func() error
}

func (f *facade) url(path string) string   { return "http://" + f.addrs.HTTP.String() + path }
func (f *facade) adminURL(p string) string { return "http://" + f.addrs.Admin.String() + p }

// post sends a body to one of the REST routes.
func (f *facade) post(t *testing.T, path string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url(path), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	return f.do(t, req)
}

func (f *facade) do(t *testing.T, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, req, resp, body)
	return resp, body
}

// startFacade runs a server in front of upstream until the test ends. What it
// logs ends up in the test's output.
func startFacade(tb testing.TB, upstream service.Upstream, configure ...func(*service.Config, *server.Config)) *facade {
	tb.Helper()
	svcCfg := service.Config{
		Upstream:       upstream,
		APIKey:         func() slashid.Secret { return slashid.NewSecret(testAPIKey) },
		DeadlineMargin: 20 * time.Millisecond,
	}
	level := new(slog.LevelVar)
	cfg := server.Config{
		GRPCAddr:     "127.0.0.1:0",
		HTTPAddr:     "127.0.0.1:0",
		AdminAddr:    "127.0.0.1:0",
		DrainTimeout: time.Minute,
		Logger:       slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: level})),
		LogLevel:     level,
	}
	for _, c := range configure {
		c(&svcCfg, &cfg)
	}
	svcCfg.Logger = cfg.Logger
	svc, err := service.New(svcCfg)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Service = svc
	s, err := server.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	f := &facade{addrs: s.Addrs(), http: &http.Client{Transport: &http.Transport{}}}
	f.stop = func() error {
		stopped = true
		cancel()
		return <-done
	}
	tb.Cleanup(func() {
		f.http.CloseIdleConnections()
		if stopped {
			return
		}
		if err := f.stop(); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	f.conn, err = grpc.NewClient(f.addrs.GRPC.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.conn.Close() })
	f.grpc = quashv1.NewTokenServiceClient(f.conn)
	return f
}

// newUpstream is a client of the SlashID at baseURL.
func newUpstream(tb testing.TB, baseURL string, configure ...func(*slashid.Config)) *slashid.Client {
	tb.Helper()
	base, err := url.Parse(baseURL)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := slashid.Config{BaseURL: base}
	for _, c := range configure {
		c(&cfg)
	}
	client := slashid.New(cfg)
	tb.Cleanup(client.Close)
	return client
}

// serveUpstream serves h as SlashID, and returns its URL.
func serveUpstream(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// refusingAddr is an address that refuses connections until the test ends: it is
// bound, so that nothing else gets it, and not listened to.
func refusingAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
}
