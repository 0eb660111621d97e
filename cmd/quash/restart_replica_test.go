package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/quashdev/quash/sandbox"
)

// replica is a quash serve with a way of its own to the sandbox.
type replica struct {
	*process
	*listeners

	upstream *gate
	conn     *grpc.ClientConn // to this one alone
	// restClosing is closed when it gives up its idle REST connections, which is how
	// the end of its REST server begins.
	restClosing chan struct{}
}

type listeners struct{ grpcAddr, httpAddr, adminAddr string }

func startReplica(t *testing.T, slashid *sandbox.Server, flags ...string) *replica {
	t.Helper()
	r := &replica{upstream: newGate(slashid), restClosing: make(chan struct{})}
	upstream := httptest.NewServer(r.upstream)
	t.Cleanup(upstream.Close)
	r.process = newProcess(append([]string{
		"quash", "serve", "--upstream-url", upstream.URL, "--upstream-api-key-file", write(t, sandbox.DefaultAPIKey),
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}, flags...))
	r.cmd.Env = []string{"GORACE=" + gorace, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	addrs, err := r.awaitServing()
	if err != nil {
		t.Fatal(err)
	}
	r.listeners = &listeners{addrs["GRPC"], addrs["HTTP"], addrs["ADMIN"]}
	if err := awaitGRPC(r.grpcAddr); err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	if r.conn, err = dial(nil, r.grpcAddr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	r.watchREST(t)
	return r
}

// watchREST keeps a connection that is idle.
func (r *replica) watchREST(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", r.httpAddr)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: quash\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.restClosing)
		_, _ = reader.ReadByte() // blocks until it is closed
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-r.restClosing
	})
}

func (r *replica) awaitRESTClosing(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-r.restClosing:
	case <-ctx.Done():
		t.Fatalf("it does not let its REST connections go\n%s", r)
	}
}

// awaitLog waits for complete lines of the log that match.
func (r *replica) awaitLog(t *testing.T, pattern string) {
	t.Helper()
	if _, err := r.await("stderr", regexp.MustCompile(pattern)); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// ready is what a load balancer's probe is told.
func (r *replica) ready(ctx context.Context, t *testing.T) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.adminAddr+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// gate lets a replica's calls through to the sandbox, and holds those that ask for
// all regions while it is told to.
type gate struct {
	sandbox http.Handler

	// Of those calls, by door: which have come and are not answered, and which are held.
	inProgress, held *tally

	mu      sync.Mutex
	holding map[string]chan struct{} // by door; closed when its calls may go on
}

func newGate(sandbox http.Handler) *gate {
	return &gate{sandbox: sandbox, inProgress: newTally(), held: newTally(), holding: map[string]chan struct{}{}}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// To the end, because only then does net/http notice that the replica is gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Header.Get("SlashID-Required-Consistency") == "all_regions" {
		door := r.Header.Get("SlashID-SdkVersion")
		g.inProgress.add(door, 1)
		defer g.inProgress.add(door, -1)
		if !g.pass(r.Context(), door) {
			return // nothing is revoked for a replica that does not wait for it
		}
	}
	g.sandbox.ServeHTTP(w, r)
}

// pass returns once a call may go on. It reports false when ctx has ended before.
func (g *gate) pass(ctx context.Context, door string) bool {
	g.mu.Lock()
	released := g.holding[door]
	g.mu.Unlock()
	if released == nil {
		return true
	}
	g.held.add(door, 1)
	defer g.held.add(door, -1)
	select {
	case <-released:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *gate) hold(doors ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, door := range doors {
		g.holding[door] = make(chan struct{})
	}
}

func (g *gate) release(doors ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, door := range doors {
		close(g.holding[door])
		delete(g.holding, door)
	}
}
