package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// The back-off has full jitter: it is random, from 0 to a limit that doubles.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempts, limit := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond} {
		lowest, highest := time.Hour, time.Duration(0)
		for range 1000 {
			d := backoff(attempts)
			lowest, highest = min(lowest, d), max(highest, d)
		}
		// The probability that one half of the range stays empty is 2^-999.
		if lowest < 0 || lowest > limit/2 || highest > limit || highest < limit/2 {
			t.Errorf("after %d attempts: from %s to %s, want 0 to %s", attempts, lowest, highest, limit)
		}
	}
}

// The breaker opens for an upstream that is down, rejects calls without an attempt, probes, and
// closes again. No other response of SlashID opens it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	down := []step{answered(http.StatusInternalServerError), answered(http.StatusGatewayTimeout), notConnected, resent(lostConnection)}
	for i, answer := range slices.Concat(down, []step{
		rejected, foreign400, unauthorized, answered(http.StatusForbidden),
		inProgress, opaque, limited, resent(limited), unexpected, answeredByProxy(http.StatusNotImplemented),
	}) {
		synctest.Test(t, func(t *testing.T) {
			result, asked := answer.result, 0
			s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				asked++
				result.Sent = !answer.unsent && req.BeforeSend()
				return result
			}))
			isOpen := func() (*Error, bool) {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				own, ok := errors.AsType[*Error](err)
				return own, ok && own.Reason() == "UPSTREAM_CIRCUIT_OPEN"
			}
			opened := 0
			for range 3 * breakerMinimum {
				if _, open := isOpen(); open {
					opened++
				}
			}
			if i >= len(down) {
				if opened > 0 {
					t.Errorf("%+v opens the breaker", result)
				}
				return
			}
			before := asked
			own, open := isOpen()
			if !open || asked != before || opened < breakerMinimum {
				t.Fatalf("%+v: open %t, for %d calls; %d attempts", result, open, opened, asked-before)
			}
			if delay, ok := own.Pushback(); own.State() != "NOT_APPLIED" || !ok || delay <= 0 || delay > 2*defaultBreakerRest {
				t.Errorf("%v, back in %s", own.State(), delay)
			}
			answer, result = done204, done204.result
			time.Sleep(2 * defaultBreakerRest)
			for range 2 * breakerMinimum {
				if own, _ := isOpen(); own != nil {
					t.Fatalf("after recovery: %v", own)
				}
			}
		})
	}
}

// A probe of the breaker uses a new connection, because the old one may be what is broken.
// Other attempts use existing connections.
func TestProbesUseNewConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing, probes := slices.Repeat([]step{unavailable}, breakerMinimum), []step{unavailable, notConnected, done204}
		upstream := &script{steps: slices.Concat(failing, probes, []step{unavailable, done204})}
		s := newService(t, upstream)
		for range breakerMinimum {
			_, _ = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		}
		if got := upstream.attempts(); got != breakerMinimum {
			t.Fatalf("the breaker opened after %d attempts, want %d", got, breakerMinimum)
		}
		time.Sleep(2 * defaultBreakerRest)
		for range 2 {
			if resp, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err != nil {
				t.Errorf("after recovery: %s", words(t, resp, err))
			}
		}
		for i, req := range upstream.requests {
			if want := i >= len(failing) && i < len(failing)+len(probes); req.NewConnection != want {
				t.Errorf("attempt %d on a new connection: %t, want %t", i+1, req.NewConnection, want)
			}
		}
		if got, want := upstream.attempts(), len(upstream.steps); got != want {
			t.Errorf("%d attempts, want %d", got, want)
		}
	})
}

// Attempts without a response open the breaker when they reach their own limit, even if their
// callers cancelled earlier. The cancellation itself does not count as a failure.
func TestBreakerOpensForSilence(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"callers stay": time.Hour, "callers leave": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, silent(true))
			var wg sync.WaitGroup
			for range breakerMinimum {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(time.Second)})
					if got := words(t, nil, err); got != "UPSTREAM_TIMEOUT UNKNOWN" {
						t.Errorf("%s: got %s", name, got)
					}
				})
			}
			time.Sleep(MinTimeout + defaultAnswerGrace - 1)
			if !s.breaker.IsClosed() {
				t.Errorf("%s: the breaker opened before the attempts ended", name)
			}
			time.Sleep(time.Nanosecond)
			wg.Wait()
			synctest.Wait()
			_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			if got := words(t, nil, err); got != "UPSTREAM_CIRCUIT_OPEN NOT_APPLIED" {
				t.Errorf("%s: afterwards: %s", name, got)
			}
		})
	}
}

// If no connection can be made, calls that waited for one count as failures, although their
// callers' deadlines end before the dial does. The log gets a cause. Calls that only queue
// behind others do not count, and a short deadline shows nothing.
func TestBreakerOpensWithoutConnections(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		deadline     time.Duration
		noConnection bool
		caused       bool
		want         string
	}{
		"no connection":    {3 * time.Second, true, true, "UPSTREAM_CIRCUIT_OPEN NOT_APPLIED"},
		"queued":           {3 * time.Second, false, true, "UPSTREAM_TIMEOUT NOT_APPLIED"},
		"a short deadline": {500 * time.Millisecond, true, false, "UPSTREAM_TIMEOUT NOT_APPLIED"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
				<-ctx.Done()
				return slashid.Result{NoConnection: tt.noConnection, Err: ctx.Err()}
			}))
			revoke := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
				return err
			}
			var wg sync.WaitGroup
			for range breakerMinimum {
				wg.Go(func() {
					err := revoke()
					if got := words(t, nil, err); got != "UPSTREAM_TIMEOUT NOT_APPLIED" {
						t.Errorf("%s: got %s", name, got)
					}
					if got := errors.Is(err, errNotConnected); got != tt.caused {
						t.Errorf("%s: has the cause %t, want %t", name, got, tt.caused)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if got := words(t, nil, revoke()); got != tt.want {
				t.Errorf("%s: afterwards: %s, want %s", name, got, tt.want)
			}
		})
	}
}

// A call does not retry if the breaker is open, and does not wait for it to close. It returns
// the error of its last attempt.
func TestBreakerOpensDuringACall(t *testing.T) {
	t.Parallel()
	for opensAfter, want := range map[time.Duration]time.Duration{time.Second: 0, 3 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			slow := retryAfter(unavailable, 3*time.Second)
			slow.after = 2 * time.Second // the retry comes after 5 s
			upstream := &script{steps: []step{slow}}
			s := newService(t, upstream)
			time.AfterFunc(opensAfter, s.breaker.Open)
			begun := time.Now()
			resp, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			if got := words(t, resp, err); got != "UPSTREAM_UNAVAILABLE UNKNOWN" || upstream.attempts() != 1 {
				t.Errorf("got %s after %d attempts", got, upstream.attempts())
			}
			if took := time.Since(begun).Truncate(time.Second); took != max(want, slow.after) {
				t.Errorf("opened after %s: answered after %s", opensAfter, took)
			}
		})
	}
}

// An attempt that panics or is withdrawn does not close the breaker, and does not keep it
// half-open forever.
func TestBreakerAccountsForEveryProbe(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) slashid.Result{
		"panic":     func(context.Context) slashid.Result { panic("a defect") },
		"withdrawn": func(context.Context) slashid.Result { return slashid.Result{Err: slashid.ErrNotSent} },
	} {
		synctest.Test(t, func(t *testing.T) {
			attempt := func(context.Context) slashid.Result { return notConnected.result }
			s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result { return attempt(ctx) }))
			revoke := func() string {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				return words(t, nil, err)
			}
			for range breakerMinimum {
				revoke()
			}
			time.Sleep(2 * defaultBreakerRest)
			attempt = end
			for range breakerProbes {
				revoke()
			}
			if got := revoke(); got != "UPSTREAM_CIRCUIT_OPEN NOT_APPLIED" {
				t.Errorf("%s: after probes that say nothing: %s", name, got)
			}
			time.Sleep(2 * defaultBreakerRest)
			attempt = func(context.Context) slashid.Result {
				return slashid.Result{Status: http.StatusBadRequest, Envelope: true, Sent: true}
			}
			if got := revoke(); got != "TOKEN_REJECTED NOT_APPLIED" {
				t.Errorf("%s: after recovery: %s", name, got)
			}
		})
	}
}

// All calls share one retry budget: if many fail at once, most of them return their error
// without a retry.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers = 30
		slow := unavailable
		slow.after = time.Second
		upstream := &script{steps: slices.Repeat([]step{slow}, maxAttempts*callers)}
		s := newService(t, upstream)
		s.breaker = circuitbreaker.NewBuilder[any]().WithFailureThreshold(1000).Build() // never opens here
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				if own, ok := errors.AsType[*Error](err); !ok || own.State() != "UNKNOWN" {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		// Of 30 calls that fail together 10 may retry, and 10 may retry again.
		if got := upstream.attempts(); got <= callers || got > callers+2*retryFloor {
			t.Errorf("%d calls made %d attempts, want at most %d", callers, got, callers+2*retryFloor)
		}
	})
}
