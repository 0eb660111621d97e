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

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// step is what one attempt meets.
type step struct {
	// unsent: no connection is found within after, so the token never goes out.
	unsent bool
	after  time.Duration
	result slashid.Result
}

// script is an upstream that meets each attempt with the next step, and keeps what
// the attempts asked for. It behaves towards Commit and its context as
// slashid.Client does.
type script struct {
	steps []step

	mu       sync.Mutex
	requests []slashid.Request
	at       []time.Time
}

func (s *script) Begin(ctx context.Context, req slashid.Request) *slashid.Attempt {
	return upstreamtest.Func(s.revoke).Begin(ctx, req)
}

func (s *script) revoke(ctx context.Context, req slashid.Request) slashid.Result {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.at = append(s.at, time.Now())
	n := len(s.requests)
	s.mu.Unlock()
	if n > len(s.steps) {
		panic("more attempts than the script has steps")
	}
	next := s.steps[n-1]
	if !next.unsent && !req.Commit() {
		return slashid.Result{Kind: slashid.KeptBack}
	}
	timer := time.NewTimer(next.after)
	defer timer.Stop()
	select {
	case <-timer.C:
		if next.unsent && next.result.Kind == 0 && !req.Commit() {
			return slashid.Result{Kind: slashid.KeptBack}
		}
		next.result.Sent = !next.unsent
		return next.result
	case <-ctx.Done():
		return slashid.Result{Kind: upstreamtest.KindOf(ctx), Sent: !next.unsent, Err: ctx.Err()}
	}
}

func (s *script) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func answered(kind slashid.Kind, code int) step {
	return step{result: slashid.Result{Kind: kind, Status: code, CorrelationID: http.StatusText(code)}}
}

func retryAfter(s step, d time.Duration) step {
	s.result.RetryAfter, s.result.RetryAfterSet = d, true
	return s
}

var (
	done204        = answered(slashid.Revoked, http.StatusNoContent)
	rejected       = answered(slashid.TokenRejected, http.StatusBadRequest)
	unauthorized   = answered(slashid.Unauthorized, http.StatusUnauthorized)
	inProgress     = answered(slashid.InProgress, http.StatusRequestTimeout)
	opaque         = answered(slashid.OpaqueTimeout, http.StatusRequestTimeout)
	limited        = answered(slashid.RateLimited, http.StatusTooManyRequests)
	unavailable    = answered(slashid.Unavailable, http.StatusServiceUnavailable)
	unexpected     = answered(slashid.Unexpected, http.StatusOK)
	notConnected   = step{unsent: true, result: slashid.Result{Kind: slashid.NotConnected, Err: errors.New("refused")}}
	lostConnection = step{result: slashid.Result{Kind: slashid.ConnectionLost, Err: errors.New("reset")}}
)

// What a call comes to depends on all of its attempts: what an earlier one may
// have done is not undone by what a later one is told.
func TestAttempts(t *testing.T) {
	t.Parallel()
	const (
		notApplied = "NOT_APPLIED"
		unknown    = "UNKNOWN"
	)
	for _, tt := range []struct {
		name     string
		steps    []step
		attempts int
		want     string // an outcome, or a reason and a state
	}{
		{"at once", []step{done204}, 1, "REVOKED"},
		{"after one failure", []step{unavailable, done204}, 2, "REVOKED"},
		{"after two failures", []step{lostConnection, notConnected, done204}, 3, "REVOKED"},
		{"three times are enough", []step{unavailable, unavailable, unavailable}, 3, "UPSTREAM_UNAVAILABLE " + unknown},

		{"rejected at once", []step{rejected}, 1, "TOKEN_REJECTED " + notApplied},
		{"rejected after our own 503", []step{unavailable, rejected}, 2, "ALREADY_INVALID"},
		{"rejected after a lost connection", []step{lostConnection, rejected}, 2, "ALREADY_INVALID"},
		{"rejected after a refused connection", []step{notConnected, rejected}, 2, "TOKEN_REJECTED " + notApplied},
		{"rejected after 429", []step{limited, rejected}, 2, "TOKEN_REJECTED " + notApplied},
		{"rejected after 503 and 429", []step{unavailable, limited, rejected}, 3, "ALREADY_INVALID"},

		{"never connected", []step{notConnected, notConnected, notConnected}, 3, "UPSTREAM_UNREACHABLE " + notApplied},
		{"never connected again after a 503", []step{unavailable, notConnected, notConnected}, 3, "UPSTREAM_UNREACHABLE " + unknown},
		{"limited after a 503", []step{unavailable, limited, limited}, 3, "UPSTREAM_RATE_LIMITED " + unknown},
		{"limited thrice", []step{limited, limited, limited}, 3, "UPSTREAM_RATE_LIMITED " + notApplied},
		{"key refused after a 503", []step{unavailable, unauthorized}, 2, "UPSTREAM_CREDENTIAL_REJECTED " + unknown},
		{"in progress after a 503", []step{unavailable, inProgress}, 2, "CONSISTENCY_TIMEOUT IN_PROGRESS"},

		{"408 is not repeated", []step{inProgress}, 1, "CONSISTENCY_TIMEOUT IN_PROGRESS"},
		{"nor is a proxy's", []step{opaque}, 1, "CONSISTENCY_TIMEOUT " + unknown},
		{"nor is a refused key", []step{unauthorized}, 1, "UPSTREAM_CREDENTIAL_REJECTED " + notApplied},
		{"nor is what nobody expects", []step{unexpected}, 1, "UPSTREAM_UNEXPECTED_RESPONSE " + unknown},
		{"429 waits as told", []step{retryAfter(limited, 3*time.Second), done204}, 2, "REVOKED"},
		{"429 beyond the time that is left", []step{retryAfter(limited, time.Minute)}, 1, "UPSTREAM_RATE_LIMITED " + notApplied},
		{"503 beyond the time that is left", []step{retryAfter(unavailable, time.Minute)}, 1, "UPSTREAM_UNAVAILABLE " + unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream := &script{steps: tt.steps}
				resp, err := newService(t, upstream).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				if got := words(t, resp, err); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if got := upstream.attempts(); got != tt.attempts {
					t.Errorf("%d attempts, want %d", got, tt.attempts)
				}
				if own, ok := errors.AsType[*Error](err); ok && int(own.failure.GetAttempts()) != tt.attempts {
					t.Errorf("it says %d attempts", own.failure.GetAttempts())
				}
			})
		})
	}
}

// words is an answer as TestAttempts writes it.
func words(t *testing.T, resp *quashv1.RevokeResponse, err error) string {
	t.Helper()
	if err == nil {
		return OutcomeName(resp.GetOutcome())
	}
	own, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is not an *Error", err)
	}
	return own.Reason() + " " + own.State()
}

// The details tell of the last answer, also when a later attempt had none.
func TestDetailsOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := &script{steps: []step{unavailable, notConnected, notConnected}}
		_, err := newService(t, upstream).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		failure := failureOf(t, err, codes.Unavailable, "UPSTREAM_UNREACHABLE")
		own, _ := errors.AsType[*Error](err)
		if failure.GetUpstreamStatus() != http.StatusServiceUnavailable || own.correlationID != "Service Unavailable" {
			t.Errorf("status %d, correlation id %q", failure.GetUpstreamStatus(), own.correlationID)
		}
	})
}

// Each attempt asks SlashID to wait no longer than its caller still will.
func TestTimeoutOfEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		slow := unavailable
		slow.after = 4 * time.Second
		upstream := &script{steps: []step{slow, slow, done204}}
		if _, err := newService(t, upstream).Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(7 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for _, req := range upstream.requests {
			got = append(got, req.Timeout)
		}
		// 9.98 s, then at most 5.98 s, then less than 2 s are left.
		if want := []time.Duration{7 * time.Second, 5 * time.Second, time.Second}; !slices.Equal(got, want) {
			t.Errorf("timeouts %v, want %v", got, want)
		}
	})
}

// Retry-After is waited for in full, and what is added to it is the back-off's.
func TestRetryAfterIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := &script{steps: []step{retryAfter(limited, 3*time.Second), done204}}
		if _, err := newService(t, upstream).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err != nil {
			t.Fatal(err)
		}
		if waited := upstream.at[1].Sub(upstream.at[0]); waited < 3*time.Second || waited > 3*time.Second+backoffBase {
			t.Errorf("waited for %s", waited)
		}
	})
}

// Full jitter: anything from nothing to a limit that doubles, and then does not.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempts, limit := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 6: 2 * time.Second, 30: 2 * time.Second,
	} {
		least, most := time.Hour, time.Duration(0)
		for range 1000 {
			d := backoff(attempts)
			least, most = min(least, d), max(most, d)
		}
		// A thousand draws leave either half of the range empty once in 2^1000.
		if least < 0 || least > limit/2 || most > limit || most < limit/2 {
			t.Errorf("after %d attempts: from %s to %s, want 0 to %s", attempts, least, most, limit)
		}
	}
}

// A caller that goes is answered at once. What was sent goes on, is waited for,
// and its late outcome is counted; what was not sent never will be.
func TestCallerGoes(t *testing.T) {
	t.Parallel()
	later := func(s step) step { s.after = 10 * time.Second; return s }
	for _, tt := range []struct {
		name      string
		steps     []step
		wantState string
		attempts  int
		late      string // the late outcome, "" for none
	}{
		{"while the request is out", []step{later(done204)}, "UNKNOWN", 1, "REVOKED"},
		{"while the request is out, which fails", []step{later(unavailable), later(done204)}, "UNKNOWN", 2, "REVOKED"},
		{"while the request is out, which is limited", []step{later(limited), done204}, "UNKNOWN", 2, "REVOKED"},
		{"while the request is out, which was lost", []step{later(lostConnection), rejected}, "UNKNOWN", 2, "ALREADY_INVALID"},
		{"while there is no connection yet", []step{{unsent: true, after: 10 * time.Second}}, "NOT_APPLIED", 1, ""},
		{"during the wait after a 429", []step{retryAfter(limited, 20*time.Second)}, "NOT_APPLIED", 1, ""},
		{"during the wait after a 503", []step{retryAfter(unavailable, 20*time.Second), done204}, "UNKNOWN", 2, "REVOKED"},
		{"with a 503 behind it, without a connection", []step{unavailable, {unsent: true, after: 10 * time.Second, result: slashid.Result{Kind: slashid.NotConnected}}, done204}, "UNKNOWN", 3, "REVOKED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream := &script{steps: tt.steps}
				s := newService(t, upstream)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				begun := time.Now()
				_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(100 * time.Second)})
				if waited := time.Since(begun); waited != time.Second {
					t.Errorf("answered after %s, want 1s", waited)
				}
				if got := words(t, nil, err); got != "CALLER_CANCELLED "+tt.wantState {
					t.Errorf("got %s, want %s", got, tt.wantState)
				}
				s.Drain()
				if err := s.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := upstream.attempts(); got != tt.attempts {
					t.Errorf("%d attempts, want %d", got, tt.attempts)
				}
				late := s.lateOutcomes(t)
				if tt.late == "" && len(late) != 0 || tt.late != "" && (len(late) != 1 || late[tt.late] != 1) {
					t.Errorf("late outcomes %v, want %q", late, tt.late)
				}
			})
		})
	}
}

// A defect takes neither the late outcome away, nor leaves the revocation behind as one
// that never ends: not even where caller and defect leave at the same moment.
func TestCallerGoesFromDefect(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		patience time.Duration
		runs     int
	}{
		"before it":        {time.Second, 1},
		"at the same time": {2 * time.Second, 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
					req.Commit()
					time.Sleep(2 * time.Second)
					panic("a defect")
				}))
				left := 0.0
				for range tt.runs {
					ctx, cancel := context.WithTimeout(t.Context(), tt.patience+s.cfg.DeadlineMargin)
					_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
					cancel()
					if words(t, nil, err) == "UPSTREAM_TIMEOUT UNKNOWN" {
						left++
					}
					time.Sleep(2 * time.Second)
				}
				if n, _ := s.background.oldest(); n != 0 {
					t.Errorf("%d revocations go on for ever", n)
				}
				if late := s.lateOutcomes(t); late["INTERNAL UNKNOWN"] != left {
					t.Errorf("late outcomes %v, want INTERNAL UNKNOWN for %g callers", late, left)
				}
			})
		})
	}
}

// The caller that was told NOT_APPLIED was told the truth: a connection that turns
// up afterwards does not get the token, whatever the upstream makes of its context.
func TestNothingIsSentAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		committed := make(chan bool, 1)
		s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			time.Sleep(10 * time.Second)
			sent := req.Commit()
			committed <- sent
			return slashid.Result{Kind: slashid.KeptBack, Sent: sent}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "UPSTREAM_TIMEOUT NOT_APPLIED" {
			t.Errorf("got %s", got)
		}
		if <-committed {
			t.Error("the token was sent after all")
		}
	})
}

// An attempt that nobody wants any more is ended while it has no connection, so
// that it holds no place; the pool keeps the connection for the next one.
func TestUnwantedAttemptEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, silent(false))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		synctest.Wait()
		if n := s.flights.count(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}

// A deadline that passes is like a caller that goes: the answer comes before it,
// and the attempt ends at its own limit.
func TestDeadlinePasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := done204
		slow.after = 4 * time.Second
		upstream := &script{steps: []step{slow}}
		s := newService(t, upstream)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		failure := failureOf(t, err, codes.DeadlineExceeded, "UPSTREAM_TIMEOUT")
		if failure.GetState() != stateUnknown || failure.GetElapsed().AsDuration() != 1980*time.Millisecond {
			t.Errorf("failure: %v", failure)
		}
		s.Drain()
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if late := s.lateOutcomes(t); late["REVOKED"] != 1 {
			t.Errorf("late outcomes %v", late)
		}
	})
}

func TestTooManyInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := done204
		slow.after = 10 * time.Second
		upstream := &script{steps: []step{slow, done204}}
		s := newService(t, upstream)
		s.flights.limit = 1
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
			first <- err
		}()
		synctest.Wait()
		_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "b"})
		if got := words(t, nil, err); got != "OVERLOADED NOT_APPLIED" {
			t.Errorf("with one in flight: %s", got)
		}
		// One whose caller has gone counts, for as long as it takes.
		cancel()
		<-first
		_, err = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "b"})
		if got := words(t, nil, err); got != "OVERLOADED NOT_APPLIED" {
			t.Errorf("with one in the background: %s", got)
		}
		time.Sleep(slow.after)
		synctest.Wait()
		if resp, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "b"}); err != nil {
			t.Errorf("afterwards: %s", words(t, resp, err))
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := done204
		slow.after = 10 * time.Second
		s := newService(t, &script{steps: []step{slow}})
		running := make(chan error, 1)
		go func() {
			_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			running <- err
		}()
		synctest.Wait()
		s.Drain()
		_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "b"})
		if got := words(t, nil, err); got != "SHUTTING_DOWN NOT_APPLIED" {
			t.Errorf("a new call: %s", got)
		}
		if err := <-running; err != nil {
			t.Errorf("the call in progress: %v", err)
		}
	})
}

// Shutdown does not wait for ever, and says what it cost.
func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := done204
		slow.after = time.Hour
		s := newService(t, &script{steps: []step{slow}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, _ = s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		s.Drain()
		waitCtx, cancelWait := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelWait()
		if err := s.Wait(waitCtx); err == nil || err.Error() != "1 revocations in progress were cut off: context deadline exceeded" {
			t.Errorf("Wait: %v", err)
		}
		if late := s.lateOutcomes(t); late["CALLER_CANCELLED UNKNOWN"] != 1 {
			t.Errorf("late outcomes %v", late)
		}
	})
}

// The breaker opens for an upstream that is down, fails calls without asking it,
// probes, and closes again.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for _, down := range []slashid.Kind{slashid.Unavailable, slashid.NotConnected, slashid.ConnectionLost} {
		synctest.Test(t, func(t *testing.T) {
			isDown := true
			calls := 0
			s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				calls++
				if !isDown {
					return slashid.Result{Kind: slashid.Revoked, Status: http.StatusNoContent, Sent: req.Commit()}
				}
				return slashid.Result{Kind: down}
			}))
			var err error
			for range breakerLeast {
				_, err = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			}
			failure := failureOf(t, err, codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN")
			own, _ := errors.AsType[*Error](err)
			if delay, ok := own.Pushback(); failure.GetState() != stateNotApplied || !ok || delay <= 0 || delay > 2*defaultBreakerRest {
				t.Errorf("%s: %v, back in %s", down, failure, delay)
			}
			before := calls
			_, _ = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			if calls != before {
				t.Errorf("%s: upstream is asked while the breaker is open", down)
			}
			isDown = false
			time.Sleep(2 * defaultBreakerRest)
			for range 2 * breakerLeast {
				if _, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err != nil {
					t.Fatalf("%s: after recovery: %v", down, err)
				}
			}
		})
	}
}

// A call that is about to ask again when the breaker opens tells what it knows.
func TestBreakerOpensDuringBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := &script{steps: []step{retryAfter(unavailable, 3*time.Second)}}
		s := newService(t, upstream)
		time.AfterFunc(time.Second, s.breaker.Open)
		resp, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, resp, err); got != "UPSTREAM_UNAVAILABLE UNKNOWN" || upstream.attempts() != 1 {
			t.Errorf("got %s after %d attempts", got, upstream.attempts())
		}
	})
}

// An attempt that panics, or that nobody wants any more, is no probe that closes
// the breaker, nor one that keeps it half-open for ever.
func TestBreakerAccountsForEveryProbe(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) slashid.Result{
		"panic":    func(context.Context) slashid.Result { panic("a defect") },
		"unwanted": func(context.Context) slashid.Result { return slashid.Result{Kind: slashid.KeptBack} },
	} {
		synctest.Test(t, func(t *testing.T) {
			attempt := func(context.Context) slashid.Result { return slashid.Result{Kind: slashid.NotConnected} }
			s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result { return attempt(ctx) }))
			revoke := func() string {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				return words(t, nil, err)
			}
			for range breakerLeast {
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
			attempt = func(context.Context) slashid.Result { return slashid.Result{Kind: slashid.TokenRejected} }
			if got := revoke(); got != "TOKEN_REJECTED NOT_APPLIED" {
				t.Errorf("%s: after recovery: %s", name, got)
			}
		})
	}
}

// What SlashID answers with, other than that it is down, never opens the breaker;
// and neither does a caller's deadline, however short.
func TestBreakerStaysClosed(t *testing.T) {
	t.Parallel()
	for _, kind := range []slashid.Kind{
		slashid.TokenRejected, slashid.Unauthorized, slashid.Forbidden,
		slashid.InProgress, slashid.OpaqueTimeout, slashid.RateLimited, slashid.Unexpected,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
				return slashid.Result{Kind: kind, Sent: true}
			}))
			for range 3 * breakerLeast {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				if own, ok := errors.AsType[*Error](err); !ok || own.Reason() == "UPSTREAM_CIRCUIT_OPEN" {
					t.Fatalf("%s: %v", kind, err)
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		slow := step{after: 500 * time.Millisecond, result: done204.result}
		upstream := &script{steps: slices.Repeat([]step{slow}, 3*breakerLeast)}
		s := newService(t, upstream)
		for range 3 * breakerLeast {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
			cancel()
			failureOf(t, err, codes.DeadlineExceeded, "UPSTREAM_TIMEOUT")
		}
	})
}

// The budget is one for all calls: where many fail at once, most fail without a
// repetition, and tell what they know.
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
		// Of 30 that fail together 10 may repeat at once, and so may those again.
		if got := upstream.attempts(); got <= callers || got > callers+2*retryFloor {
			t.Errorf("%d calls made %d attempts, want at most %d", callers, got, callers+2*retryFloor)
		}
	})
}
