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
	"strings"
	"sync"
	"syscall"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

const (
	nativePath = quashtest.NativePath
	dropInPath = quashtest.DropInPath
	testAPIKey = sandbox.DefaultAPIKey
)

const allRegions = quashv1.Consistency_CONSISTENCY_ALL_REGIONS

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// facade is a running quash with clients for tests.
type facade struct {
	*quashtest.Quash

	grpc quashv1.TokenServiceClient
}

// startFacade runs a quash in front of upstream until the test ends. It logs to the
// test's output.
func startFacade(tb testing.TB, upstream service.Upstream, configure ...func(*service.Config, *server.Config)) *facade {
	tb.Helper()
	logs := func(_ *service.Config, cfg *server.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: cfg.LogLevel}))
	}
	q := quashtest.Serve(tb, upstream, append([]func(*service.Config, *server.Config){logs}, configure...)...)
	return &facade{q, quashv1.NewTokenServiceClient(q.Conn)}
}

func (f *facade) httpAddr() string { return strings.TrimPrefix(f.URL, "http://") }

// post sends a body to one of the REST routes.
func (f *facade) post(t *testing.T, path string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	return f.request(t, http.MethodPost, f.URL+path, header, body)
}

func (f *facade) request(t *testing.T, method, url string, header http.Header, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header.Clone()
	}
	return f.do(t, req)
}

func (f *facade) do(t *testing.T, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := f.HTTP.Do(req)
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

// revokesAll is an upstream that revokes every token.
var revokesAll = upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
	return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
})

// neverCalled is an upstream that a test must not reach.
func neverCalled(t *testing.T) upstreamtest.Func {
	return func(context.Context, slashid.Request) slashid.Result {
		t.Error("upstream was called")
		return slashid.Result{Status: http.StatusNoContent, Sent: true}
	}
}

// heldUpstream answers when free is closed or written to, and reports each call on asked.
type heldUpstream struct{ asked, free chan struct{} }

func newHeldUpstream() heldUpstream {
	return heldUpstream{asked: make(chan struct{}, 100), free: make(chan struct{})}
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

// newUpstream returns a client of the SlashID at baseURL.
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

// refusingAddr returns an address that refuses connections until the test ends. It is bound,
// so that no other process can take it, but has no listener.
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

// lockedBuffer is a buffer that a logger and a test can share.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
