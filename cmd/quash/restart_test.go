package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// Three replicas are restarted one by one, twice over, while callers go on calling
// through every door; serviceConfig and balancer say what those do about a replica
// that goes away. No call may be lost:
//
//   - Each is answered, with OK, because callers try again where they are told to.
//   - What was OK is revoked, and what was NOT_APPLIED is not. No caller accepts
//     "already revoked" for an answer, so that an attempt that was applied, but whose
//     answer was lost, shows when it is repeated.
//   - What was sent for callers that have gone is revoked, before the replica ends.
//
// The calls in progress are held at every step of a replica's end until that step
// is known to have begun, so that each step meets calls that it could cut off.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	slashid := sandbox.Start(t, sandbox.Config{ReplicationLag: 100 * time.Millisecond})
	callers := newCallers(t, slashid)

	// Those of the first generation go without a warning, those of the second stay
	// until they are known to go.
	var fleet []*replica
	for range 3 {
		fleet = append(fleet, startReplica(t, slashid, "--drain-delay", "0s"))
	}
	callers.use(fleet)
	callers.begin(ctx, t)
	for _, drainDelay := range []string{"250ms", "0s"} {
		for i, old := range fleet {
			old.retire(ctx, t, callers)
			fleet[i] = startReplica(t, slashid, "--drain-delay", drainDelay)
			callers.use(fleet)
		}
	}
	for _, r := range fleet {
		callers.awaitAnswers(ctx, t, r)
	}
	callers.end()
	for _, r := range fleet {
		r.signal(t, syscall.SIGTERM)
		r.awaitEnd(ctx, t, 0)
	}
	callers.account(t)
}

// retire has a replica end under load, and sees to it that nothing is lost.
func (r *replica) retire(ctx context.Context, t *testing.T, callers *callers) {
	t.Helper()
	callers.awaitAnswers(ctx, t, r)

	// Calls are in progress through every door, and others are whose callers are
	// not there any more.
	r.upstream.hold(append(doors, gone)...)
	leftBehind := r.desert(ctx, t, callers)
	r.upstream.held.await(ctx, t, func(n map[string]int) bool {
		return n[doorGRPC] > 0 && n[doorNative] > 0 && n[doorDropIn] > 0
	})
	t.Logf("held in progress at SIGTERM: %s", r.upstream.held)
	r.signal(t, syscall.SIGTERM)
	r.awaitLog(t, `"shutting down"`)
	for r.ready(ctx, t) {
	}
	callers.balancer.remove(r)

	// REST lets its callers go, and waits for their calls.
	r.awaitRESTClosing(ctx, t)
	r.upstream.release(doorNative, doorDropIn)
	// So does gRPC.
	if !r.conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Fatalf("it does not let its gRPC connections go\n%s", r)
	}
	r.upstream.release(doorGRPC)
	r.upstream.inProgress.await(ctx, t, func(n map[string]int) bool { return n[doorGRPC] == 0 })
	// What is left then has nobody who waits for it but the replica itself.
	r.upstream.release(gone)
	r.awaitEnd(ctx, t, len(leftBehind))
	for _, token := range leftBehind {
		if everywhere, _ := callers.revoked(t, token); !everywhere {
			t.Errorf("it has ended before a revocation that its caller had left to it was done\n%s", r)
		}
	}
}

// desert makes calls, and abandons them once they have been sent. It returns their
// tokens when the replica has noticed.
func (r *replica) desert(ctx context.Context, t *testing.T, callers *callers) (tokens []string) {
	t.Helper()
	leaving, leave := context.WithCancel(ctx)
	defer leave()
	overGRPC := func(c *madeCall) (answered bool) {
		_, err := quashv1.NewTokenServiceClient(r.conn).Revoke(c.outgoing(leaving), c.request())
		return status.Code(err) != codes.Canceled
	}
	overREST := func(c *madeCall) (answered bool) {
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(c.httpRequest(leaving, r.httpAddr))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	}
	ways := []func(*madeCall) bool{overGRPC, overREST}
	ends := make(chan bool, len(ways))
	for _, way := range ways {
		c := &madeCall{door: gone, token: callers.mint(t), allRegions: true}
		tokens = append(tokens, c.token)
		go func() { ends <- way(c) }()
	}
	r.upstream.held.await(ctx, t, func(n map[string]int) bool { return n[gone] == len(tokens) })
	leave()
	for range tokens {
		if answered := <-ends; answered {
			t.Errorf("a caller that left was answered\n%s", r)
		}
	}
	noticed := `"reason":"CALLER_CANCELLED","state":"UNKNOWN"`
	r.awaitLog(t, `(?s)`+noticed+`.*`+noticed)
	return tokens
}

// awaitEnd waits for a replica that was told to end, and checks how it did. So many
// revocations were left to it by their callers.
func (r *replica) awaitEnd(ctx context.Context, t *testing.T, leftBehind int) {
	t.Helper()
	select {
	case <-r.ended:
	case <-ctx.Done():
		t.Fatalf("it does not end\n%s", r)
	}
	if got := r.fate(); got != "0" {
		t.Errorf("it ended with %s\n%s", got, r)
	}
	if err := new(scene).verdict(r.process); err != nil {
		t.Errorf("%v\n%s", err, r)
	}
	log := r.stderr.String()
	if !strings.Contains(log, `"msg":"shut down"`) {
		t.Errorf("it has not shut down\n%s", r)
	}
	// Nothing is wrong here, so there is nothing to warn of: not of calls that were
	// refused or cut off, nor of an upstream.
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"level":"INFO"`) {
			t.Errorf("it warns: %s", line)
		}
	}
	late := regexp.MustCompile(`"late outcome of a revocation whose caller had gone","outcome":"REVOKED"`)
	if got := len(late.FindAllString(log, -1)); got != leftBehind {
		t.Errorf("it has finished %d revocations whose callers had gone, want %d\n%s", got, leftBehind, r)
	}
}
