package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quashdev/quash/sandbox"
)

// faultCase is a fault between quash and SlashID, and what every caller must be
// told of it.
type faultCase struct {
	name string
	// http2 has the two speak HTTP/2, over TLS; else it is HTTP/1.1 in plaintext.
	http2 bool
	// impatient has quash give up after 1.5 s, instead of never.
	impatient bool
	// begin begins the fault. Nothing has been asked yet.
	begin func(l *faultyLink)
	// handle is how SlashID answers calls while the fault lasts.
	handle originHandler
	// mendAfter is the number of attempts that the fault lasts, 0 meaning all.
	mendAfter int32

	want answers
	// applied is what has really become of the token.
	applied bool
	// attempts is how many the call must have taken, 0 where that may vary.
	attempts int32
	// connections is over how many the call, and the one after it, must have
	// come, 0 where that may vary. net/http sends a call that was disowned again, three
	// times in all for each attempt, and each time on another connection.
	connections int
}

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	envelope400 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":400,"message":"no"}]}`

	anHour = 3_600_000_000 // µs, and ms for that matter: beyond any test
)

// toxic is a fault that toxiproxy has a name for.
func toxic(direction, kind, attributes string) func(l *faultyLink) {
	return func(l *faultyLink) { l.toxic(direction, kind, attributes) }
}

// cutAnswer has SlashID give an answer that the link breaks off in its body.
func cutAnswer(f sandbox.Fault) func(l *faultyLink) {
	const most = 1000 // the head is shorter, and the whole longer
	f.Body += strings.Repeat(" ", most)
	f.Count = maxAttemptsOfACall
	return func(l *faultyLink) {
		script(l, f)
		l.toxic("downstream", "limit_data", fmt.Sprintf(`"bytes":%d`, most))
	}
}

const maxAttemptsOfACall = 3

func script(l *faultyLink, f sandbox.Fault) {
	l.t.Helper()
	if err := l.sandbox.Script(f); err != nil {
		l.t.Fatal(err)
	}
}

// diesBefore is an upstream that is replaced when it has read a call.
func diesBefore(o *origin, _ http.ResponseWriter, _ *http.Request) {
	o.restart()
	panic(http.ErrAbortHandler)
}

// diesAfter is one that is replaced when it has done what a call asks for, and
// has not said so.
func diesAfter(o *origin, _ http.ResponseWriter, r *http.Request) {
	o.apply(r)
	o.restart()
	panic(http.ErrAbortHandler)
}

// disowns is an HTTP/2 peer that says of a call that it has not been processed.
func disowns(_ *origin, _ http.ResponseWriter, r *http.Request) {
	goAway(r, 0)
	panic(http.ErrAbortHandler)
}

// disownsFalsely is one of which that is not true.
func disownsFalsely(o *origin, _ http.ResponseWriter, r *http.Request) {
	o.apply(r)
	goAway(r, 0)
	panic(http.ErrAbortHandler)
}

var faultCases = []faultCase{
	{
		name: "none",
		want: saysRevoked, applied: true, attempts: 1, connections: 1,
	},
	{
		name:  "connection refused",
		begin: func(l *faultyLink) { l.proxy.Stop() },
		want:  saysNeverReached, applied: false, attempts: 3,
	},
	{
		name:  "connection refused, once",
		begin: func(l *faultyLink) { l.proxy.Stop() }, mendAfter: 1,
		want: saysRevoked, applied: true, attempts: 2,
	},
	{
		name: "idle connections broken off",
		begin: func(l *faultyLink) {
			if _, err := ask(l.t.Context(), l.facade, doorGRPC, l.mint(), time.Minute); err != nil {
				l.t.Fatal(err)
			}
			l.proxy.Stop()
			if err := l.proxy.Start(); err != nil {
				l.t.Fatal(err)
			}
		},
		want: saysRevoked, applied: true,
	},
	{
		name:  "reset before the request is written (in the TLS handshake)",
		http2: true,
		begin: toxic("upstream", "reset_peer", `"timeout":0`),
		want:  saysNeverReached, applied: false, attempts: 3,
	},
	{
		name:  "reset before the request is written, once",
		http2: true,
		begin: toxic("upstream", "reset_peer", `"timeout":0`), mendAfter: 1,
		want: saysRevoked, applied: true, attempts: 2,
	},
	{
		name:  "request cut in its body",
		begin: toxic("upstream", "limit_data", `"bytes":400`),
		want:  saysLost, applied: false, attempts: 3,
	},
	{
		name:  "request cut in its body, once",
		begin: toxic("upstream", "limit_data", `"bytes":400`), mendAfter: 1,
		want: saysRevoked, applied: true, attempts: 2,
	},
	{
		name:  "reset after the request was written",
		begin: toxic("downstream", "reset_peer", `"timeout":0`),
		want:  saysLost, applied: true, attempts: 3,
	},
	{
		name:  "reset after the request was written, once",
		begin: toxic("downstream", "reset_peer", `"timeout":0`), mendAfter: 1,
		want: saysAlreadyInvalid, applied: true, attempts: 2,
	},
	{
		name:  "answer truncated in its head",
		begin: toxic("downstream", "limit_data", `"bytes":20`),
		want:  saysLost, applied: true, attempts: 3,
	},
	{
		name:  "answer truncated in its head, once",
		begin: toxic("downstream", "limit_data", `"bytes":20`), mendAfter: 1,
		want: saysAlreadyInvalid, applied: true, attempts: 2,
	},
	{
		name:  "408 truncated in its envelope",
		begin: cutAnswer(sandbox.Fault{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408[:50]}),
		want:  saysOpaqueTimeout, applied: true, attempts: 1,
	},
	{
		name:  "400 truncated in its envelope",
		begin: cutAnswer(sandbox.Fault{Status: http.StatusBadRequest, Body: envelope400[:50]}),
		want:  saysUnexpected, applied: false, attempts: 1,
	},
	{
		name:  "latency below the limit",
		begin: toxic("downstream", "latency", `"latency":50`),
		want:  saysRevoked, applied: true, attempts: 1,
	},
	{
		name:      "latency above the limit",
		impatient: true,
		begin:     toxic("downstream", "latency", fmt.Sprintf(`"latency":%d`, anHour)),
		want:      saysNoAnswer, applied: true, attempts: 1,
	},
	{
		name:  "slow answer (1 KB/s)",
		begin: toxic("downstream", "bandwidth", `"rate":1`),
		want:  saysRevoked, applied: true, attempts: 1,
	},
	{
		name: "slow 408 (1 KB/s)",
		begin: func(l *faultyLink) {
			script(l, sandbox.Fault{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408})
			l.toxic("downstream", "bandwidth", `"rate":1`)
		},
		want: saysInProgress, applied: true, attempts: 1,
	},
	{
		name:  "answer in slices",
		begin: toxic("downstream", "slicer", `"average_size":8,"size_variation":4,"delay":1000`),
		want:  saysRevoked, applied: true, attempts: 1,
	},
	{
		name:      "answer that stops halfway",
		impatient: true,
		begin:     toxic("downstream", "slicer", fmt.Sprintf(`"average_size":16,"delay":%d`, anHour)),
		want:      saysNoAnswer, applied: true, attempts: 1,
	},
	{
		name:      "stalled before the request (in the TLS handshake)",
		http2:     true,
		impatient: true,
		begin:     toxic("downstream", "timeout", `"timeout":0`),
		want:      saysNoConnection, applied: false, attempts: 1,
	},
	{
		name:      "stalled request",
		impatient: true,
		begin:     toxic("upstream", "timeout", `"timeout":0`),
		want:      saysNoAnswer, applied: false, attempts: 1,
	},
	{
		name:      "stalled answer",
		impatient: true,
		begin:     toxic("downstream", "timeout", `"timeout":0`),
		want:      saysNoAnswer, applied: true, attempts: 1,
	},
	{
		name:  "upstream down behind a proxy that is up",
		http2: true,
		begin: func(l *faultyLink) { l.origin.stop() },
		want:  saysNeverReached, applied: false, attempts: 3,
	},
	{
		name:   "upstream restarted before it did the call",
		handle: diesBefore, mendAfter: 1,
		want: saysRevoked, applied: true, attempts: 2,
	},
	{
		name:   "upstream restarted after it did the call",
		handle: diesAfter, mendAfter: 1,
		want: saysAlreadyInvalid, applied: true, attempts: 2,
	},
	{
		name:   "upstream restarted at every call",
		handle: diesAfter,
		want:   saysLost, applied: true, attempts: 3,
	},
	{
		name:   "upstream restarted after it did the call, HTTP/2",
		http2:  true,
		handle: diesAfter, mendAfter: 1,
		want: saysAlreadyInvalid, applied: true, attempts: 2, connections: 2,
	},
	{
		name:  "none, HTTP/2",
		http2: true,
		want:  saysRevoked, applied: true, attempts: 1,
	},
	{
		name:  "GOAWAY of a server that shuts down, the call goes on",
		http2: true,
		handle: func(o *origin, w http.ResponseWriter, r *http.Request) {
			o.shutDown()
			o.link.sandbox.ServeHTTP(w, r)
		},
		want: saysRevoked, applied: true, attempts: 1, connections: 2,
	},
	{
		name:  "GOAWAY before the answer",
		http2: true,
		handle: func(o *origin, w http.ResponseWriter, r *http.Request) {
			goAway(r, 1) // the call's own stream
			o.link.sandbox.ServeHTTP(w, r)
		},
		want: saysRevoked, applied: true, attempts: 1, connections: 2,
	},
	{
		name:   "GOAWAY that disowns the call, once",
		http2:  true,
		handle: disowns, mendAfter: 1,
		want: saysRevoked, applied: true, attempts: 2, connections: 4,
	},
	{
		name:   "GOAWAY that disowns the call",
		http2:  true,
		handle: disowns,
		want:   saysLost, applied: false, attempts: 3, connections: 10,
	},
	{
		name:   "GOAWAY that disowns the call falsely, once",
		http2:  true,
		handle: disownsFalsely, mendAfter: 1,
		want: saysAlreadyInvalid, applied: true, attempts: 2, connections: 4,
	},
	{
		name:   "GOAWAY that disowns the call falsely",
		http2:  true,
		handle: disownsFalsely,
		want:   saysLost, applied: true, attempts: 3, connections: 10,
	},
}

// TestFaults meets every fault at every door: the answer is the outcome table's,
// it agrees with what the sandbox knows of the token, and once the fault is over
// the next call succeeds. What was observed is logged as a Markdown table.
func TestFaults(t *testing.T) {
	t.Parallel()
	observed := make([]map[string]*faultRun, len(faultCases))
	t.Cleanup(func() { t.Log("\n" + faultMatrix(observed)) })
	for i, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.applied != (c.want.state() != "NOT_APPLIED") && c.want.state() != "UNKNOWN" {
				t.Fatalf("the case contradicts itself: %s, and applied is %t", c.want.state(), c.applied)
			}
			observed[i] = c.runAtEveryDoor(t)
		})
	}
}

// faultRun is a case at one door.
type faultRun struct {
	link             *faultyLink
	token            string
	told, afterwards told
	attempts         int32
	dead             bool
}

// runAtEveryDoor runs the case at all doors at the same time, since some faults
// are told by nothing but their taking long.
func (c *faultCase) runAtEveryDoor(t *testing.T) map[string]*faultRun {
	t.Helper()
	runs := map[string]*faultRun{}
	for _, door := range threeDoors {
		l := startFaultyLink(t, c)
		if c.begin != nil {
			c.begin(l)
		}
		l.attempts.Store(0)
		runs[door] = &faultRun{link: l, token: l.mint()}
	}
	var calls sync.WaitGroup
	for door, run := range runs {
		calls.Go(func() { c.run(t, door, run) })
	}
	calls.Wait()
	return runs
}

// run makes the call, mends the fault and makes another. It runs on a goroutine
// of its own.
func (c *faultCase) run(t *testing.T, door string, run *faultRun) {
	t.Helper()
	l := run.link
	var err error
	if run.told, err = ask(t.Context(), l.facade, door, run.token, time.Second); err != nil {
		t.Errorf("%s: %v", door, err)
		return
	}
	run.attempts = l.attempts.Load()
	if run.told.words != c.want[door] {
		t.Errorf("%s: got %s, want %s", door, run.told.words, c.want[door])
	}
	if c.attempts != 0 && run.attempts != c.attempts {
		t.Errorf("%s: %d attempts, want %d", door, run.attempts, c.attempts)
	}
	if run.told.attempts >= 0 && run.told.attempts != int(run.attempts) {
		t.Errorf("%s: it says %d attempts, and there were %d", door, run.told.attempts, run.attempts)
	}
	if strings.Contains(c.want[doorGRPC], "OK ") {
		// At once: this is what the caller has been promised.
		c.expectTruth(t, door, run)
	}
	l.mend()
	fresh := l.mint()
	if run.afterwards, err = ask(t.Context(), l.facade, door, fresh, time.Minute); err != nil {
		t.Errorf("%s, afterwards: %v", door, err)
		return
	}
	if run.afterwards.words != saysRevoked[door] {
		t.Errorf("%s, afterwards: got %s, want %s", door, run.afterwards.words, saysRevoked[door])
	}
	if got := l.origin.connections(); c.connections != 0 && got != c.connections {
		t.Errorf("%s: the calls came over %d connections, want %d", door, got, c.connections)
	}
	if c.applied {
		ctx, cancel := context.WithTimeout(t.Context(), doorPatience)
		defer cancel()
		if err := l.sandbox.WaitRevoked(ctx, run.token); err != nil {
			t.Errorf("%s: the token is never dead everywhere: %v", door, err)
		}
	}
	c.expectTruth(t, door, run)
}

// expectTruth compares what the caller was told with what the sandbox knows.
func (c *faultCase) expectTruth(t *testing.T, door string, run *faultRun) {
	t.Helper()
	regions, err := run.link.sandbox.Revoked(run.token)
	if err != nil {
		t.Errorf("%s: %v", door, err)
	}
	for region, dead := range regions {
		if dead != c.applied {
			t.Errorf("%s: the caller was told %s, and in %s the token is dead: %t", door, run.told.words, region, dead)
		}
		run.dead = dead
	}
}

func faultMatrix(observed []map[string]*faultRun) string {
	var table strings.Builder
	table.WriteString("| fault | gRPC | native REST | drop-in REST | attempts | the token then | next call |\n")
	table.WriteString("|---|---|---|---|---|---|---|\n")
	for i, c := range faultCases {
		runs := observed[i]
		if runs == nil {
			continue // not asked for, or failed
		}
		cell := func(of func(*faultRun) string) string {
			var all []string
			for _, door := range threeDoors {
				if s := of(runs[door]); len(all) == 0 || s != all[0] {
					all = append(all, s)
				}
			}
			return strings.Join(all, " / ")
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s |\n", c.name,
			runs[doorGRPC].told.words, runs[doorNative].told.words, runs[doorDropIn].told.words,
			cell(func(r *faultRun) string { return strconv.Itoa(int(r.attempts)) }),
			cell(func(r *faultRun) string {
				if r.dead {
					return "dead"
				}
				return "alive"
			}),
			cell(func(r *faultRun) string {
				if r.afterwards.words == saysRevoked[doorGRPC] || r.afterwards.words == saysRevoked[doorNative] || r.afterwards.words == saysRevoked[doorDropIn] {
					return "revoked"
				}
				return r.afterwards.words
			}))
	}
	return table.String()
}
