package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestCanary lets one token and three credentials fly through quash, along every
// way there is, and then looks for them in all that anybody can read of it.
//
// Upstreams repeat what they are sent wherever they can, and callers put it where
// it does not belong. Nothing of that may come out again, not even to the caller:
// it would end up in the caller's log.
//
// What is not looked into: the answers in which grpc-go, below all code of ours,
// quotes to a caller what it cannot read of the caller's header (rpcMistake.own);
// and the sandbox's control API, which is there to show what became of a token.
func TestCanary(t *testing.T) {
	t.Parallel()
	h := newHunt(t)
	// They wait more than they work, so they do not wait for one another too.
	var flying sync.WaitGroup
	for name, way := range map[string]func(*hunt, *testing.T){
		"own key":     (*hunt).withOwnKey,
		"forwarding":  (*hunt).forwarding,
		"dev":         (*hunt).inDev,
		"mutual TLS":  (*hunt).overMutualTLS,
		"unreachable": (*hunt).unreachable,
		"defective":   (*hunt).inDefects,
		"start":       (*hunt).atStart,
		"sandbox":     (*hunt).inSandbox,
	} {
		flying.Go(func() { t.Run(name, func(t *testing.T) { way(h, t) }) })
	}
	flying.Wait()
	h.report()
}

// anywhere are the flags of a façade that says all it can, on free ports.
func anywhere(format string, more ...string) []string {
	return append([]string{
		"--log-level", "debug", "--log-format", format, "--drain-delay", "0s",
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}, more...)
}

// withOwnKey is quash with a key of its own, in front of HTTP/1.1.
func (h *hunt) withOwnKey(t *testing.T) {
	upstream := startParrot(t, h, nil)
	keyFile := write(t, h.apiKey+"\n")
	collected := startCollector(t, func(kind, text string) { h.look(kind, "own key", text) })
	c := h.launch(t, "own key", collected.environment(), append([]string{"quash", "serve", "--upstream-url", upstream.url, "--upstream-api-key-file", keyFile, "--deadline-margin", wideMargin.String(), "--reflection"}, anywhere("json")...)...)
	f := h.serve(t, c, nil)

	// First, while there is little to read in the log: callers who go.
	f.leave(t, upstream)
	// A key that is none must not be told of. The old one stays.
	if err := os.Rename(write(t, h.apiKey+"\n"+h.token), keyFile); err != nil {
		t.Error(err)
	}
	if _, err := c.await("stderr", regexp.MustCompile(`(?m)the API key for SlashID is not replaced`)); err != nil {
		t.Error(err)
	}

	// These take six seconds over REST: SlashID's second, and five of grace.
	var waiting sync.WaitGroup
	for _, door := range doors {
		waiting.Go(func() {
			f.expect(t, call{door: door, scene: sceneHold, timeout: time.Second}, rowNoAnswer)
		})
	}
	// Meanwhile, all else.
	var busy sync.WaitGroup
	busy.Go(func() {
		for _, door := range []string{doorNative, doorDropIn} {
			f.tryRESTMistakes(t, door, nil)
		}
	})
	busy.Go(func() { f.tryRPCMistakes(t) })
	busy.Go(func() {
		if err := h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
			t.Error(err)
		}
		f.adminMistakes(t)
	})
	for _, door := range doors {
		f.expect(t, call{door: door, token: h.token + "!"}, rowInvalid)
	}
	f.play(t, wholeAnswers, brokenHTTP1, []act{{"401", rowKeyRefused}, {"403", rowKeyRefused}})
	f.hurry(t)
	busy.Wait()
	waiting.Wait()
	// Whoever called meanwhile might take what is unasked for the answer.
	for _, door := range doors {
		f.expect(t, call{door: door, scene: sceneUnasked}, rowRevoked)
		<-upstream.unasked
		// Whoever comes next has a connection of their own, and sees that one closed.
		f.expect(t, call{door: door, scene: "204"}, rowRevoked)
		select {
		case <-upstream.unaskedOver:
		case <-time.After(patience):
			t.Errorf("%s: the connection stays after an answer that is unasked", door)
		}
	}
	upstream.release()
	h.end(t, c, nil)
	h.heard(t, upstream, "token", "quash's API key")
	collected.expectMany(t)
}

// forwarding is quash without a key, in front of HTTP/2.
func (h *hunt) forwarding(t *testing.T) {
	vouches := newAuthority(t)
	upstream := startParrot(t, h, vouches.issue(t, "slashid.test", true))
	ca, _, _ := vouches.files(t, vouches.issue(t, "nobody.test", false))
	collected := startCollector(t, func(kind, text string) { h.look(kind, "forwarding", text) })
	c := h.launch(t, "forwarding", collected.environment(), append([]string{"quash", "serve", "--upstream-url", upstream.url, "--upstream-ca-file", ca, "--reflection"}, anywhere("text")...)...)
	f := h.serve(t, c, nil)
	f.forwards = true
	var busy sync.WaitGroup
	for _, door := range []string{doorNative, doorDropIn} {
		busy.Go(func() { f.tryRESTMistakes(t, door, nil) })
	}
	busy.Go(func() { f.tryRPCMistakes(t) })
	busy.Go(func() {
		if err := h.crawl(t.Context(), c.name, f.addrs["ADMIN"]); err != nil {
			t.Error(err)
		}
	})
	f.play(t, wholeAnswers, brokenStreams, []act{{"401", rowUnauthenticated}, {"403", rowForbidden}})
	busy.Wait()
	// These take other calls of the connection along, so they go one by one.
	for _, s := range brokenConnections {
		for _, door := range doors {
			f.expectAmongOthers(t, door, s)
		}
	}
	f.dump(t, upstream)
	h.heard(t, upstream, "token", "the caller's API key", "the caller's authorization")
	collected.expectMany(t)
}

// expectMany fails unless much has come: else nothing is proved.
func (c *collector) expectMany(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) < 200 || len(c.metrics) < 10 {
		t.Errorf("%d spans and %d metrics were exported", len(c.spans), len(c.metrics))
	}
}

// play has every scene played at every door.
func (f *target) play(t *testing.T, scenes ...[]act) {
	var playing sync.WaitGroup
	for _, door := range doors {
		playing.Go(func() {
			for _, s := range slices.Concat(scenes...) {
				f.expectAmongOthers(t, door, s)
			}
			if door != doorDropIn {
				f.expect(t, call{door: door, scene: "400", allowInvalid: true}, rowAlreadyInvalid)
			}
		})
	}
	playing.Wait()
}

// expectAmongOthers is expect among so many calls that succeed that the circuit
// breaker stays closed.
func (f *target) expectAmongOthers(t *testing.T, door string, s act) {
	if strings.HasPrefix(s.row, "Unavailable") {
		for range 4 {
			f.expect(t, call{door: door, scene: "204"}, rowRevoked)
		}
	}
	f.expect(t, call{door: door, scene: s.name}, s.row)
}

// dump ends a façade by the signal that has it write the stacks of all that it is
// doing.
func (f *target) dump(t *testing.T, upstream *parrot) {
	if err := f.h.lookAtProcess(f.child); err != nil {
		t.Error(err)
	}
	var calls sync.WaitGroup
	for _, door := range doors {
		id := f.id(sceneHold)
		calls.Go(func() { _, _ = f.ask(t.Context(), call{door: door, id: id}) })
		upstream.await(t, id)
	}
	if err := f.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	f.h.ended(t, f.child, "2", nil)
	calls.Wait()
	if got := f.stderr.String(); strings.Count(got, "(*TokenService).Revoke(") < len(doors) {
		t.Errorf("the stacks are not those of %d calls:\n%s", len(doors), got)
	}
}

// heard fails unless the secrets came to upstream: else nothing is proved.
func (h *hunt) heard(t *testing.T, p *parrot, secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range secrets {
		if p.heard[name] < 100 {
			t.Errorf("upstream has heard %s %d times", name, p.heard[name])
		}
	}
}

// leave has callers go while SlashID is asked. What they would have been told is in
// the log.
func (f *target) leave(t *testing.T, upstream *parrot) {
	for i, door := range doors {
		ctx, cancel := context.WithCancel(t.Context())
		id := f.id(sceneHold)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = f.ask(ctx, call{door: door, id: id, timeout: time.Second})
		}()
		upstream.await(t, id)
		cancel()
		<-gone
		if _, err := f.await("stderr", regexp.MustCompile(fmt.Sprintf(`(?s)("reason":"CALLER_CANCELLED","state":"UNKNOWN".*){%d}`, i+1))); err != nil {
			t.Error(err)
			continue
		}
		f.h.reach(door, rowCancelled)
	}
}

// hurry gives deadlines, as only gRPC can. quash keeps wideMargin of them.
func (f *target) hurry(t *testing.T) {
	for row, left := range map[string]time.Duration{rowTooShort: wideMargin - time.Second, rowNoAnswer: wideMargin + 300*time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		got, err := f.ask(ctx, call{door: doorGRPC, scene: sceneHold})
		cancel()
		if err != nil || got.row != row {
			t.Errorf("a deadline in %s: %q, %v, want %q", left, got.row, err, row)
		}
		f.h.reach(doorGRPC, got.row)
	}
}

// wideMargin is far more than an answer takes to reach its caller.
const wideMargin = 5 * time.Second

// adminMistakes are a token where the admin listener could be given one.
func (f *target) adminMistakes(t *testing.T) {
	for _, path := range []string{
		"/{token}", "/livez?token={token}", "/readyz/{token}", "/debug/pprof/{token}", "/debug/pprof/heap?debug={token}",
		"/debug/pprof/heap?seconds={token}", "/debug/pprof/trace?seconds={token}0.01", "/debug/pprof/symbol?{token}", "/debug/pprof/cmdline",
		"/configz?{token}", "/loglevel/{token}",
	} {
		request := f.h.fill("GET " + path + " HTTP/1.1\r\nHost: quash\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
		answer, err := f.send(t.Context(), f.addrs["ADMIN"], nil, request, false)
		if err != nil || answer == "" {
			t.Errorf("%s: %q, %v", path, answer, err)
		}
		f.h.look("admin pages", f.name+path, answer)
	}
	request := fmt.Sprintf("PUT /loglevel HTTP/1.1\r\nHost: quash\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(f.h.token), f.h.token)
	answer, err := f.send(t.Context(), f.addrs["ADMIN"], nil, request, false)
	if err != nil || !strings.Contains(answer, " 400 ") {
		t.Errorf("a token for a log level: %q, %v", answer, err)
	}
	f.h.look("admin pages", f.name+"/loglevel", answer)
}
