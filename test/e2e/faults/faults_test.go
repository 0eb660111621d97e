// Package faults_test breaks the connection between quash and SlashID in the ways that networks
// and servers do, and checks the answers that callers get.
//
//	faults_test.go  the fault matrix
//	link_test.go    quash, toxiproxy, and a restartable server in front of the sandbox
package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faultCase is a fault between quash and SlashID, and the answer that every caller must get.
type faultCase struct {
	name string
	// http2 selects HTTP/2 over TLS instead of HTTP/1.1 in plaintext.
	http2 bool
	// impatient makes quash give up after 1.5 s instead of never.
	impatient bool
	// begin starts the fault, before the first call.
	begin func(l *link)
	// handle answers calls instead of SlashID while the fault lasts.
	handle originHandler
	// fixAfter is the number of attempts that the fault lasts; 0 means all.
	fixAfter int32

	want quashtest.Answers
	// applied is true if the token is really revoked.
	applied bool
	// attempts is the expected number of attempts; 0 if it may vary.
	attempts int32
	// connections is the expected number of connections of the call and the next one; 0 if it
	// may vary. net/http resends a call that the peer declares unprocessed, each time on
	// another connection, and sends it three times in total for each attempt.
	connections int
}

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	envelope400 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":400,"message":"no"}]}`

	maxAttempts = 3             // of a call
	anHour      = 3_600_000_000 // in µs; where a toxic wants ms, it is even longer
	// patience is far longer than any call in these tests takes.
	patience = 2 * time.Minute
)

// toxic returns a function that adds one of toxiproxy's faults.
func toxic(direction, name, attributes string) func(l *link) {
	return func(l *link) { l.toxic(direction, name, attributes) }
}

var (
	resetRequests = toxic("upstream", "reset_peer", `"timeout":0`)
	cutRequests   = toxic("upstream", "limit_data", `"bytes":400`)
	stallRequests = toxic("upstream", "timeout", `"timeout":0`)
	resetAnswers  = toxic("downstream", "reset_peer", `"timeout":0`)
	cutAnswers    = toxic("downstream", "limit_data", `"bytes":20`)
	stallAnswers  = toxic("downstream", "timeout", `"timeout":0`)
	slowAnswers   = toxic("downstream", "bandwidth", `"rate":1`)
)

// cutBody makes SlashID send an answer that the link cuts off in its body.
func cutBody(f sandbox.Fault) func(l *link) {
	const size = 1000 // more than the head, less than the whole answer
	f.Body += strings.Repeat(" ", size)
	f.Count = maxAttempts
	return func(l *link) {
		l.script(f)
		l.toxic("downstream", "limit_data", fmt.Sprintf(`"bytes":%d`, size))
	}
}

func refuseConnections(l *link) { l.proxy.Stop() }

// breakIdleConnections makes a call and then breaks its idle connection.
func breakIdleConnections(l *link) {
	if _, err := l.ask(quashtest.GRPC, l.mint(), time.Minute); err != nil {
		l.t.Fatal(err)
	}
	l.proxy.Stop()
	if err := l.proxy.Start(); err != nil {
		l.t.Fatal(err)
	}
}

// diesBefore is an upstream that is replaced after it has read a call, before it processes it.
func diesBefore(o *origin, _ http.ResponseWriter, _ *http.Request) {
	o.restart()
	panic(http.ErrAbortHandler)
}

// diesAfter is an upstream that is replaced after it has processed a call, before it answers.
func diesAfter(o *origin, _ http.ResponseWriter, r *http.Request) {
	o.apply(r)
	o.restart()
	panic(http.ErrAbortHandler)
}

// disowns is an HTTP/2 server that declares a call unprocessed.
func disowns(_ *origin, _ http.ResponseWriter, r *http.Request) {
	goAway(r, 0)
	panic(http.ErrAbortHandler)
}

// disownsFalsely is an HTTP/2 server that declares a call unprocessed although it has processed
// it.
func disownsFalsely(o *origin, _ http.ResponseWriter, r *http.Request) {
	o.apply(r)
	goAway(r, 0)
	panic(http.ErrAbortHandler)
}

func shutsDown(o *origin, w http.ResponseWriter, r *http.Request) {
	o.shutDown()
	o.link.sandbox.ServeHTTP(w, r)
}

func goesAwayFirst(o *origin, w http.ResponseWriter, r *http.Request) {
	goAway(r, 1) // the call's own stream
	o.link.sandbox.ServeHTTP(w, r)
}

var faultCases = []faultCase{
	{name: "none", want: quashtest.Revoked, applied: true, attempts: 1, connections: 1},
	{name: "connection refused", begin: refuseConnections, want: quashtest.NeverReached, attempts: 3},
	{name: "connection refused, once", begin: refuseConnections, fixAfter: 1, want: quashtest.Revoked, applied: true, attempts: 2},
	{name: "idle connections broken off", begin: breakIdleConnections, want: quashtest.Revoked, applied: true},
	{
		name: "reset before the request is written (in the TLS handshake)", http2: true, begin: resetRequests,
		want: quashtest.NeverReached, attempts: 3,
	},
	{
		name: "reset before the request is written, once", http2: true, begin: resetRequests, fixAfter: 1,
		want: quashtest.Revoked, applied: true, attempts: 2,
	},
	{name: "request cut in its body", begin: cutRequests, want: quashtest.Lost, attempts: 3},
	{name: "request cut in its body, once", begin: cutRequests, fixAfter: 1, want: quashtest.Revoked, applied: true, attempts: 2},
	{name: "reset after the request was written", begin: resetAnswers, want: quashtest.Lost, applied: true, attempts: 3},
	{
		name: "reset after the request was written, once", begin: resetAnswers, fixAfter: 1,
		want: quashtest.AlreadyInvalid, applied: true, attempts: 2,
	},
	{name: "answer truncated in its head", begin: cutAnswers, want: quashtest.Lost, applied: true, attempts: 3},
	{
		name: "answer truncated in its head, once", begin: cutAnswers, fixAfter: 1,
		want: quashtest.AlreadyInvalid, applied: true, attempts: 2,
	},
	{
		name:  "408 truncated in its envelope",
		begin: cutBody(sandbox.Fault{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408[:50]}),
		want:  quashtest.OpaqueTimeout, applied: true, attempts: 1,
	},
	{
		name:  "400 truncated in its envelope",
		begin: cutBody(sandbox.Fault{Status: http.StatusBadRequest, Body: envelope400[:50]}),
		want:  quashtest.Unexpected, attempts: 1,
	},
	{name: "latency below the limit", begin: toxic("downstream", "latency", `"latency":50`), want: quashtest.Revoked, applied: true, attempts: 1},
	{
		name: "latency above the limit", impatient: true, begin: toxic("downstream", "latency", fmt.Sprintf(`"latency":%d`, anHour)),
		want: quashtest.NoAnswer, applied: true, attempts: 1,
	},
	{name: "slow answer (1 KB/s)", begin: slowAnswers, want: quashtest.Revoked, applied: true, attempts: 1},
	{
		name: "slow 408 (1 KB/s)",
		begin: func(l *link) {
			l.script(sandbox.Fault{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408})
			slowAnswers(l)
		},
		want: quashtest.InProgress, applied: true, attempts: 1,
	},
	{
		name: "answer in slices", begin: toxic("downstream", "slicer", `"average_size":8,"size_variation":4,"delay":1000`),
		want: quashtest.Revoked, applied: true, attempts: 1,
	},
	{
		name: "answer that stops halfway", impatient: true,
		begin: toxic("downstream", "slicer", fmt.Sprintf(`"average_size":16,"delay":%d`, anHour)),
		want:  quashtest.NoAnswer, applied: true, attempts: 1,
	},
	{
		name: "stalled before the request (in the TLS handshake)", http2: true, impatient: true, begin: stallAnswers,
		want: quashtest.NoConnection, attempts: 1,
	},
	{name: "stalled request", impatient: true, begin: stallRequests, want: quashtest.NoAnswer, attempts: 1},
	{name: "stalled answer", impatient: true, begin: stallAnswers, want: quashtest.NoAnswer, applied: true, attempts: 1},
	{
		name: "upstream down behind a proxy that is up", http2: true, begin: func(l *link) { l.origin.stop() },
		want: quashtest.NeverReached, attempts: 3,
	},
	{
		name: "upstream restarted before it did the call", handle: diesBefore, fixAfter: 1,
		want: quashtest.Revoked, applied: true, attempts: 2,
	},
	{
		name: "upstream restarted after it did the call", handle: diesAfter, fixAfter: 1,
		want: quashtest.AlreadyInvalid, applied: true, attempts: 2,
	},
	{name: "upstream restarted at every call", handle: diesAfter, want: quashtest.Lost, applied: true, attempts: 3},
	{
		name: "upstream restarted after it did the call, HTTP/2", http2: true, handle: diesAfter, fixAfter: 1,
		want: quashtest.AlreadyInvalid, applied: true, attempts: 2, connections: 2,
	},
	{name: "none, HTTP/2", http2: true, want: quashtest.Revoked, applied: true, attempts: 1},
	{
		name: "GOAWAY of a server that shuts down, the call continues", http2: true, handle: shutsDown,
		want: quashtest.Revoked, applied: true, attempts: 1, connections: 2,
	},
	{
		name: "GOAWAY before the answer", http2: true, handle: goesAwayFirst,
		want: quashtest.Revoked, applied: true, attempts: 1, connections: 2,
	},
	{
		name: "GOAWAY that disowns the call, once", http2: true, handle: disowns, fixAfter: 1,
		want: quashtest.Revoked, applied: true, attempts: 2, connections: 4,
	},
	{name: "GOAWAY that disowns the call", http2: true, handle: disowns, want: quashtest.Lost, attempts: 3, connections: 10},
	{
		name: "GOAWAY that disowns the call falsely, once", http2: true, handle: disownsFalsely, fixAfter: 1,
		want: quashtest.AlreadyInvalid, applied: true, attempts: 2, connections: 4,
	},
	{
		name: "GOAWAY that disowns the call falsely", http2: true, handle: disownsFalsely,
		want: quashtest.Lost, applied: true, attempts: 3, connections: 10,
	},
}

// TestFaults tests every fault at every endpoint: the answer is that of the outcome table, it
// agrees with the state of the token in the sandbox, and the next call after the fault succeeds.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.applied != (c.want.State() != "NOT_APPLIED") && c.want.State() != "UNKNOWN" {
				t.Fatalf("contradictory case: %s, but applied is %t", c.want.State(), c.applied)
			}
			// In parallel, because quash notices some faults only after a timeout.
			links := map[string]*link{}
			for _, endpoint := range quashtest.Endpoints {
				links[endpoint] = startLink(t, &c)
			}
			var calls sync.WaitGroup
			for endpoint, l := range links {
				calls.Go(func() { c.run(t, endpoint, l) })
			}
			calls.Wait()
		})
	}
}

// run makes the call, fixes the fault and makes another call. It runs in its own goroutine.
func (c *faultCase) run(t *testing.T, endpoint string, l *link) {
	t.Helper()
	token := l.mint()
	got, err := l.ask(endpoint, token, time.Second)
	if err != nil {
		t.Errorf("%s: %v", endpoint, err)
		return
	}
	attempts := l.attempts.Load()
	if got.Text != c.want[endpoint] {
		t.Errorf("%s: got %s, want %s", endpoint, got.Text, c.want[endpoint])
	}
	if c.attempts != 0 && attempts != c.attempts {
		t.Errorf("%s: %d attempts, want %d", endpoint, attempts, c.attempts)
	}
	if got.Attempts >= 0 && got.Attempts != int(attempts) {
		t.Errorf("%s: the answer says %d attempts, want %d", endpoint, got.Attempts, attempts)
	}
	if strings.HasPrefix(c.want[quashtest.GRPC], "OK ") {
		c.checkToken(t, endpoint, l, token) // at once, as success promises
	}
	l.fix()
	next, err := l.ask(endpoint, l.mint(), time.Minute)
	if err != nil || next.Text != quashtest.Revoked[endpoint] {
		t.Errorf("%s, afterwards: got %s, %v, want %s", endpoint, next.Text, err, quashtest.Revoked[endpoint])
	}
	if got := l.origin.connections(); c.connections != 0 && got != c.connections {
		t.Errorf("%s: the calls used %d connections, want %d", endpoint, got, c.connections)
	}
	if c.applied {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := l.sandbox.WaitRevoked(ctx, token); err != nil {
			t.Errorf("%s: the token is not revoked everywhere: %v", endpoint, err)
		}
	}
	c.checkToken(t, endpoint, l, token)
}

// checkToken checks the state of the token in the sandbox.
func (c *faultCase) checkToken(t *testing.T, endpoint string, l *link, token string) {
	t.Helper()
	regions, err := l.sandbox.Revoked(token)
	if err != nil {
		t.Errorf("%s: %v", endpoint, err)
	}
	for region, dead := range regions {
		if dead != c.applied {
			t.Errorf("%s: revoked in %s: %t, want %t", endpoint, region, dead, c.applied)
		}
	}
}

func (l *link) ask(endpoint, token string, timeout time.Duration) (quashtest.Answer, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	return l.quash.Ask(ctx, endpoint, &quashv1.RevokeRequest{
		Token:       token,
		Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:     durationpb.New(timeout),
	})
}
