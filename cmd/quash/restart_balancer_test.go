package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// balancer brings REST calls to the replicas, as what stands between callers and
// replicas does when it is sane. It takes those that are ready in turn; of one that
// is not ready it is told once /readyz has said so, which is no sooner than a probe
// would learn it.
//
// Calls by the native door go through a proxy of layer 7, which picks a replica for
// each. Those by the drop-in door go over layer 4, as with a Service of Kubernetes:
// a replica is picked for each connection, and callers who keep one alive go on with
// its replica until the connection is closed.
//
// Either repeats a call in two cases alone: the answer is 503 with Retry-After, or
// there is none, because the connection was refused, or was closed before the first
// byte of an answer. The proxy repeats with a replica that has not had the call yet,
// the others over a new connection.
//
// That is fair. Who answers 503 with Retry-After asks for it, and this sandbox never
// does. A connection that is kept alive may be closed at any time (RFC 9112, section
// 9.6), so that whoever reuses one has to expect it; and since repeating a revocation
// that was applied is answered by an error here, the test shows that quash does not
// close a connection on a call that it has begun.
type balancer struct {
	// proxy's connections are to replicas, the others' to the address of them all.
	proxy, kept, fresh *http.Transport

	mu    sync.Mutex
	addrs []string // of those that are ready
	// Whose turn it is among them, for a call and for a connection.
	nextCall, nextConn int
}

func newBalancer() *balancer {
	b := &balancer{proxy: &http.Transport{MaxIdleConnsPerHost: crowd}}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, b.pick(&b.nextConn, nil))
	}
	b.kept = &http.Transport{DialContext: dial}
	b.fresh = &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return b
}

func (b *balancer) close() {
	b.proxy.CloseIdleConnections()
	b.kept.CloseIdleConnections()
}

func (b *balancer) set(replicas []*replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = nil
	for _, r := range replicas {
		b.addrs = append(b.addrs, r.httpAddr)
	}
}

func (b *balancer) remove(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = slices.DeleteFunc(b.addrs, func(addr string) bool { return addr == r.httpAddr })
}

// pick returns the next replica that is not among those tried, or nothing when all
// of them are.
func (b *balancer) pick(next *int, tried []string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.addrs {
		*next++
		if addr := b.addrs[*next%len(b.addrs)]; !slices.Contains(tried, addr) {
			return addr
		}
	}
	return ""
}

func (b *balancer) make(ctx context.Context, c *madeCall) {
	if c.door == doorDropIn {
		transport := b.kept
		if c.newcomer {
			transport = b.fresh
		}
		again := b.try(ctx, c, transport, "quash")
		for again && c.attempts.Load() < 5 {
			again = b.try(ctx, c, b.fresh, "quash")
		}
		return
	}
	var tried []string
	for addr := b.pick(&b.nextCall, tried); addr != ""; addr = b.pick(&b.nextCall, tried) {
		if !b.try(ctx, c, b.proxy, addr) {
			return
		}
		tried = append(tried, addr)
	}
}

// try makes a call once, and reports whether it is to be repeated.
func (b *balancer) try(ctx context.Context, c *madeCall, transport *http.Transport, addr string) (again bool) {
	c.attempts.Add(1)
	var answered atomic.Bool
	req := c.httpRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(conn httptrace.GotConnInfo) { c.by = conn.Conn.RemoteAddr().String() },
		GotFirstResponseByte: func() { answered.Store(true) },
	}), addr)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		c.state, c.failure = "", err.Error()
		return !answered.Load() && ctx.Err() == nil
	}
	c.state, c.failure = readAnswer(resp)
	return resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""
}

// httpRequest is the call as a request to that address, by the drop-in door where it
// is of that one.
func (c *madeCall) httpRequest(ctx context.Context, addr string) *http.Request {
	path, body := "/v1/tokens:revoke", fmt.Sprintf(`{"token":%q,"consistency":%q}`, c.token, c.consistency())
	if c.door == doorDropIn {
		path, body = "/token/revoke", fmt.Sprintf(`{"token":%q}`, c.token)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		panic(err) // the address is none
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("SlashID-SdkVersion", c.door)
	if c.door == doorDropIn && c.allRegions {
		req.Header.Set("SlashID-Required-Consistency", "all_regions")
	}
	return req
}

// readAnswer returns the state that an answer tells of, and the answer unless it is
// OK.
func readAnswer(resp *http.Response) (state, failure string) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err.Error()
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return stateOK, ""
	}
	failure = fmt.Sprintf("%s %s", resp.Status, body)
	if state := resp.Header.Get("Quash-Revocation-State"); state != "" {
		return state, failure
	}
	if match := nativeState.FindSubmatch(body); match != nil {
		return string(match[1]), failure
	}
	return "", failure
}

var nativeState = regexp.MustCompile(`"state":\s*"REVOCATION_STATE_(\w+)"`)
