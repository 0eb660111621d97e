package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // client-side health checks
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// Three replicas are restarted one by one, twice, while callers call through load balancers
// over every transport. No call may be lost:
//
//   - Each call ends with OK, because callers retry as quash's answers say.
//   - A token whose call got OK is revoked. No caller accepts "already revoked" as success, so
//     a retry reveals an attempt that was applied but whose answer was lost.
//   - Revocations that were sent for disconnected callers finish before the replica exits.
//
// Calls in flight are held until a replica's servers have started to shut down, so that the
// shutdown could cut them off.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	slashid := sandbox.Start(t, sandbox.Config{ReplicationLag: 100 * time.Millisecond})
	c := newCallers(t, slashid)
	var fleet []*replica
	for range 3 {
		fleet = append(fleet, startReplica(t, slashid, "0s"))
	}
	c.use(fleet)
	c.begin(t)
	for _, drainDelay := range []string{"250ms", "0s"} {
		for i, old := range fleet {
			old.retire(t, c)
			fleet[i] = startReplica(t, slashid, drainDelay)
			c.use(fleet)
		}
	}
	c.end()
	for _, r := range fleet {
		r.terminate(t)
		r.checkEnd(t, 0)
	}
	for _, v := range c.made {
		everywhere, anywhere := revokedIn(t, slashid, v.token)
		if v.failure != "" || !everywhere && (v.allRegions || !anywhere) {
			t.Errorf("%s: revoked everywhere %t, anywhere %t: %s", v.transport, everywhere, anywhere, v.failure)
		}
	}
	t.Logf("%d calls", len(c.made))
}

// left marks calls whose callers disconnect. Calls carry this or their transport in the header
// SlashID-SdkVersion, by which the replicas' upstreams distinguish them.
const left = "left"

// replica is a quash serve process whose calls to the sandbox pass its own gate.
type replica struct {
	*instance

	upstream *gate
}

func startReplica(t *testing.T, slashid http.Handler, drainDelay string) *replica {
	t.Helper()
	r := &replica{upstream: &gate{next: slashid, holding: map[string]chan struct{}{}}}
	upstream := httptest.NewServer(r.upstream)
	t.Cleanup(upstream.Close)
	r.instance = serve(t, upstream.URL, "--upstream-api-key-file", write(t, sandbox.DefaultAPIKey), "--drain-delay", drainDelay)
	return r
}

func (r *replica) ready(t *testing.T) bool {
	t.Helper()
	resp, _ := send(t, http.MethodGet, "http://"+r.Admin+"/readyz", "")
	return resp.StatusCode == http.StatusOK
}

func (r *replica) terminate(t *testing.T) {
	t.Helper()
	if err := r.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// retire shuts a replica down under load and checks that nothing is lost.
func (r *replica) retire(t *testing.T, c *callers) {
	t.Helper()
	// Hold calls over every transport, and calls whose callers have disconnected.
	r.upstream.hold(append(transports, left)...)
	tokens := r.leave(t, c)
	eventually(t, "calls held over every transport", func() bool {
		return !slices.ContainsFunc(transports, func(transport string) bool { return r.upstream.held.of(transport) == 0 })
	})
	r.terminate(t)
	eventually(t, "not ready", func() bool { return !r.ready(t) })
	c.balancer.remove(r.HTTP)
	for _, addr := range []string{r.GRPC, r.HTTP} {
		eventually(t, "a closed listener", func() bool {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
	}
	r.upstream.release(transports...)
	eventually(t, "calls finished", func() bool {
		return !slices.ContainsFunc(transports, func(transport string) bool { return r.upstream.held.of(transport) > 0 })
	})
	// Only the replica itself waits for the remaining calls.
	r.upstream.release(left)
	r.checkEnd(t, len(tokens))
	for _, token := range tokens {
		if everywhere, _ := revokedIn(t, c.slashid, token); !everywhere {
			t.Errorf("it exited before it finished a revocation whose caller had disconnected\n%s", r)
		}
	}
}

// leave makes calls and disconnects when they have reached the upstream. It returns their
// tokens after the replica has noticed the disconnects.
func (r *replica) leave(t *testing.T, c *callers) (tokens []string) {
	t.Helper()
	ctx, disconnect := context.WithCancel(t.Context())
	defer disconnect()
	client := quashv1.NewTokenServiceClient(r.dial(t))
	calls := []func(*revocation) (answered bool){
		func(v *revocation) bool {
			_, err := client.Revoke(v.outgoing(ctx), v.rpc())
			return status.Code(err) != codes.Canceled
		},
		func(v *revocation) bool {
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(v.http(ctx, r.HTTP))
			if err == nil {
				_ = resp.Body.Close()
			}
			return err == nil
		},
	}
	var calling sync.WaitGroup
	for _, call := range calls {
		v := &revocation{transport: left, token: c.mint(t), allRegions: true}
		tokens = append(tokens, v.token)
		calling.Go(func() {
			if call(v) {
				t.Errorf("a disconnected caller was answered\n%s", r)
			}
		})
	}
	eventually(t, "calls of callers that disconnect", func() bool { return r.upstream.held.of(left) == len(calls) })
	disconnect()
	calling.Wait()
	const noticed = `"reason":"CALLER_CANCELLED","state":"UNKNOWN"`
	r.awaitLog(t, `(?s)`+noticed+`.*`+noticed)
	return tokens
}

var lateOutcome = regexp.MustCompile(`"background revocation finished","outcome":"REVOKED"`)

// checkEnd waits until a terminated replica has exited. Its log must contain no warnings, and
// leftBehind late outcomes of revocations whose callers had disconnected.
func (r *replica) checkEnd(t *testing.T, leftBehind int) {
	t.Helper()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	log := r.Stderr.String()
	if !r.State().Success() || !strings.Contains(log, `"msg":"shutdown complete"`) {
		t.Errorf("it exited with %s\n%s", r.State(), r)
	}
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) {
			t.Errorf("unexpected warning: %s", line)
		}
	}
	if got := len(lateOutcome.FindAllString(log, -1)); got != leftBehind {
		t.Errorf("it finished %d revocations of disconnected callers, want %d\n%s", got, leftBehind, r)
	}
}

// gate forwards calls to the sandbox. Between hold and release it holds the calls for all
// regions.
type gate struct {
	next http.Handler
	held counts // by transport

	mu      sync.Mutex
	holding map[string]chan struct{} // by transport; closed on release
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read to the end: only then does net/http notice that the replica closes the connection.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	transport := r.Header.Get("SlashID-SdkVersion")
	g.mu.Lock()
	released := g.holding[transport]
	g.mu.Unlock()
	if released != nil && r.Header.Get("SlashID-Required-Consistency") == "all_regions" {
		g.held.add(transport, 1)
		defer g.held.add(transport, -1)
		select {
		case <-released:
		case <-r.Context().Done():
			return // revoke nothing for a replica that does not wait
		}
	}
	g.next.ServeHTTP(w, r)
}

func (g *gate) hold(of ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, transport := range of {
		g.holding[transport] = make(chan struct{})
	}
}

func (g *gate) release(of ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, transport := range of {
		close(g.holding[transport])
		delete(g.holding, transport)
	}
}

// counts has a counter for each name.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name] += n
}

func (c *counts) of(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// callers call all replicas over every transport.
type callers struct {
	slashid  *sandbox.Server
	resolver *manual.Resolver
	client   quashv1.TokenServiceClient
	balancer *balancer
	stop     context.CancelFunc
	running  sync.WaitGroup
	made     []*revocation
}

// revocation is a call and its result.
type revocation struct {
	transport, token string
	allRegions       bool
	newConnection    bool

	failure string
}

// serviceConfig is the recommended configuration of a client: it avoids replicas that report
// NOT_SERVING, and retries. quash's errors say whether and when to retry, in the trailer
// grpc-retry-pushback-ms.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "quash.v1.TokenService"},
	"methodConfig": [{
		"name": [{"service": "quash.v1.TokenService"}],
		"waitForReady": true,
		"retryPolicy": {
			"maxAttempts": 5,
			"initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

func newCallers(t *testing.T, slashid *sandbox.Server) *callers {
	t.Helper()
	c := &callers{slashid: slashid, resolver: manual.NewBuilderWithScheme("replicas"), balancer: newBalancer()}
	conn, err := grpc.NewClient("replicas:///",
		grpc.WithResolvers(c.resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
	)
	if err != nil {
		t.Fatal(err)
	}
	c.client = quashv1.NewTokenServiceClient(conn)
	t.Cleanup(func() {
		_ = conn.Close()
		c.balancer.kept.CloseIdleConnections()
	})
	return c
}

// use sets the replicas that later calls use.
func (c *callers) use(replicas []*replica) {
	var state resolver.State
	var addrs []string
	for _, r := range replicas {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: r.GRPC}}})
		addrs = append(addrs, r.HTTP)
	}
	c.resolver.UpdateState(state)
	c.balancer.set(addrs)
}

// begin starts a call every 5 ms until end, over the transports in rotation. Half of the calls
// are for all regions. At most 500 are in flight.
func (c *callers) begin(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	slots := make(chan struct{}, 500)
	c.running.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			v := &revocation{
				transport: transports[i%len(transports)], token: c.mint(t),
				allRegions: i/len(transports)%2 == 0, newConnection: i%5 == 0,
			}
			c.made = append(c.made, v)
			slots <- struct{}{}
			c.running.Go(func() {
				defer func() { <-slots }()
				c.call(t.Context(), v)
			})
		}
	})
	t.Cleanup(c.end)
}

// end stops the calls and waits for the last one.
func (c *callers) end() {
	c.stop()
	c.running.Wait()
}

func (c *callers) call(ctx context.Context, v *revocation) {
	ctx, cancel := context.WithTimeout(ctx, patience) // far more than any call takes
	defer cancel()
	if v.transport != overGRPC {
		c.balancer.call(ctx, v)
	} else if _, err := c.client.Revoke(v.outgoing(ctx), v.rpc()); err != nil {
		v.failure = err.Error()
	}
}

func (v *revocation) consistency() quashv1.Consistency {
	if v.allRegions {
		return quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	return quashv1.Consistency_CONSISTENCY_LOCAL_REGION
}

func (v *revocation) rpc() *quashv1.RevokeRequest {
	return &quashv1.RevokeRequest{Token: v.token, Consistency: v.consistency()}
}

func (v *revocation) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "slashid-sdkversion", v.transport)
}

// http returns the call as a REST request to an address.
func (v *revocation) http(ctx context.Context, addr string) *http.Request {
	path, body := nativePath, fmt.Sprintf(`{"token":%q,"consistency":%q}`, v.token, v.consistency())
	if v.transport == overDropIn {
		path, body = dropInPath, fmt.Sprintf(`{"token":%q}`, v.token)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		panic(err) // not a valid address
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("SlashID-SdkVersion", v.transport)
	if v.transport == overDropIn && v.allRegions {
		req.Header.Set("SlashID-Required-Consistency", "all_regions")
	}
	return req
}

func (c *callers) mint(t *testing.T) string {
	t.Helper()
	token, err := c.slashid.Mint(sandbox.MintOptions{})
	if err != nil {
		t.Error(err)
	}
	return token
}

// balancer distributes REST connections over the ready replicas, as a Kubernetes Service does: a
// caller that keeps a connection stays with its replica until the connection is closed.
//
// A call is retried, over a new connection, only if the answer is 503 with Retry-After, or if
// the connection was refused or was closed before the first byte of the answer. A kept
// connection may be closed at any time (RFC 9112, section 9.6), so callers must expect that. The
// sandbox rejects a second revocation, so the test shows that quash does not close a connection
// with a call in progress.
type balancer struct {
	kept, fresh *http.Transport

	mu    sync.Mutex
	addrs []string // of the ready replicas
	next  int
}

func newBalancer() *balancer {
	b := &balancer{}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, b.pick())
	}
	b.kept = &http.Transport{DialContext: dial}
	b.fresh = &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return b
}

func (b *balancer) set(addrs []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = addrs
}

func (b *balancer) remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = slices.DeleteFunc(b.addrs, func(a string) bool { return a == addr })
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.addrs[b.next%len(b.addrs)]
}

func (b *balancer) call(ctx context.Context, v *revocation) {
	transport := b.kept
	if v.newConnection {
		transport = b.fresh
	}
	for attempt := 0; attempt < 5 && try(ctx, v, transport); attempt++ {
		transport = b.fresh
	}
}

// try makes one attempt and reports whether to retry.
func try(ctx context.Context, v *revocation, transport *http.Transport) (again bool) {
	var answered atomic.Bool
	resp, err := transport.RoundTrip(v.http(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { answered.Store(true) },
	}), "quash"))
	if err != nil {
		v.failure = err.Error()
		return !answered.Load() && ctx.Err() == nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	v.failure = ""
	if err != nil || resp.StatusCode/100 != 2 {
		v.failure = fmt.Sprintf("%s %s %v", resp.Status, body, err)
	}
	return resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""
}
