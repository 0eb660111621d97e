package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
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
// the attempts asked for. It treats BeforeSend and its context as slashid.Client does.
type script struct {
	steps []step

	mu       sync.Mutex
	requests []slashid.Request
	at       []time.Time
}

func (s *script) Revoke(ctx context.Context, req slashid.Request) slashid.Result {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.at = append(s.at, time.Now())
	n := len(s.requests)
	s.mu.Unlock()
	if n > len(s.steps) {
		panic("more attempts than the script has steps")
	}
	next := s.steps[n-1]
	if !next.unsent && !req.BeforeSend() {
		return slashid.Result{Err: slashid.ErrNotSent}
	}
	timer := time.NewTimer(next.after)
	defer timer.Stop()
	select {
	case <-timer.C:
		if next.unsent && next.result.Err == nil && !req.BeforeSend() {
			return slashid.Result{Err: slashid.ErrNotSent}
		}
		next.result.Sent = !next.unsent
		return next.result
	case <-ctx.Done():
		return slashid.Result{Sent: !next.unsent, Err: ctx.Err()}
	}
}

func (s *script) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// answered is an attempt that SlashID answers, with its error envelope.
func answered(status int) step {
	return step{result: slashid.Result{Status: status, Envelope: true, CorrelationID: http.StatusText(status)}}
}

// answeredByProxy is an attempt that something else answers, without the envelope.
func answeredByProxy(status int) step {
	s := answered(status)
	s.result.Envelope = false
	return s
}

// resent is an attempt whose token was sent more than once.
func resent(s step) step {
	s.result.Resent = true
	return s
}

func retryAfter(s step, d time.Duration) step {
	s.result.RetryAfter = d
	return s
}

var (
	done204        = answeredByProxy(http.StatusNoContent) // it has no body
	rejected       = answered(http.StatusBadRequest)
	unauthorized   = answered(http.StatusUnauthorized)
	inProgress     = answered(http.StatusRequestTimeout)
	opaque         = answeredByProxy(http.StatusRequestTimeout)
	limited        = answered(http.StatusTooManyRequests)
	unavailable    = answered(http.StatusServiceUnavailable)
	unexpected     = answered(http.StatusOK)
	foreign400     = answeredByProxy(http.StatusBadRequest)
	notConnected   = step{unsent: true, result: slashid.Result{Err: errors.New("refused")}}
	lostConnection = step{result: slashid.Result{Err: errors.New("reset")}}
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
		{"nor is a status that SlashID does not use", []step{unexpected}, 1, "UPSTREAM_UNEXPECTED_RESPONSE " + unknown},
		{"429 waits as told", []step{retryAfter(limited, 3*time.Second), done204}, 2, "REVOKED"},
		{"429 beyond the time that is left", []step{retryAfter(limited, time.Minute)}, 1, "UPSTREAM_RATE_LIMITED " + notApplied},
		{"503 beyond the time that is left", []step{retryAfter(unavailable, time.Minute)}, 1, "UPSTREAM_UNAVAILABLE " + unknown},

		// The answer to a token that was sent twice says nothing about the first time.
		{"revoked after a resend", []step{resent(done204)}, 1, "REVOKED"},
		{"rejected after a resend", []step{resent(rejected)}, 1, "ALREADY_INVALID"},
		{"rejected by a proxy after a resend", []step{resent(foreign400)}, 1, "UPSTREAM_UNEXPECTED_RESPONSE " + unknown},
		{"key refused after a resend", []step{resent(unauthorized)}, 1, "UPSTREAM_CREDENTIAL_REJECTED " + unknown},
		{"in progress after a resend", []step{resent(inProgress)}, 1, "CONSISTENCY_TIMEOUT IN_PROGRESS"},
		{"429 after a resend", []step{retryAfter(resent(limited), time.Minute)}, 1, "UPSTREAM_RATE_LIMITED " + unknown},
		{"503 after a resend", []step{retryAfter(resent(unavailable), time.Minute)}, 1, "UPSTREAM_UNAVAILABLE " + unknown},
		{"limited thrice, at first after a resend", []step{resent(limited), limited, limited}, 3, "UPSTREAM_RATE_LIMITED " + unknown},
		{"limited thrice, at last after a resend", []step{limited, limited, resent(limited)}, 3, "UPSTREAM_RATE_LIMITED " + unknown},
		{"rejected after a 429 after a resend", []step{resent(limited), rejected}, 2, "ALREADY_INVALID"},
		{"never connected again after a resend", []step{resent(limited), notConnected, notConnected}, 3, "UPSTREAM_UNREACHABLE " + unknown},
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
				if own, ok := errors.AsType[*Error](err); ok && int(own.summary.Attempts) != tt.attempts {
					t.Errorf("it says %d attempts", own.summary.Attempts)
				}
			})
		})
	}
}

// words is an answer as TestAttempts writes it. It checks that the metrics know of it.
func words(t *testing.T, resp *quashv1.RevokeResponse, err error) string {
	t.Helper()
	if err == nil {
		checkLabels(t, SuccessLabels(resp, quashv1.Consistency_CONSISTENCY_LOCAL_REGION))
		return OutcomeName(resp.GetOutcome())
	}
	own, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is not an *Error", err)
	}
	checkLabels(t, own.Labels())
	return own.Reason() + " " + own.State()
}

var allLabels = AllLabels()

func checkLabels(t *testing.T, labels Labels) {
	t.Helper()
	if !slices.Contains(allLabels, labels) {
		t.Errorf("%v is not among AllLabels", labels.Attributes())
	}
}

// The details tell of the last answer, also when a later attempt had none.
func TestDetailsOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := &script{steps: []step{unavailable, notConnected, notConnected}}
		_, err := newService(t, upstream).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		failure := failureOf(t, err, codes.Unavailable, "UPSTREAM_UNREACHABLE")
		own, _ := errors.AsType[*Error](err)
		if failure.GetUpstreamStatus() != http.StatusServiceUnavailable || own.summary.CorrelationID != "Service Unavailable" {
			t.Errorf("status %d, correlation id %q", failure.GetUpstreamStatus(), own.summary.CorrelationID)
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
		{"with a 503 behind it, without a connection", []step{unavailable, later(notConnected), done204}, "UNKNOWN", 3, "REVOKED"},
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
					req.BeforeSend()
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
				if n, _ := s.inFlight.background(); n != 0 {
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
		asked := make(chan bool, 1)
		s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			time.Sleep(10 * time.Second)
			sent := req.BeforeSend()
			asked <- sent
			return slashid.Result{Sent: sent, Err: slashid.ErrNotSent}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "UPSTREAM_TIMEOUT NOT_APPLIED" {
			t.Errorf("got %s", got)
		}
		if <-asked {
			t.Error("the token was sent after all")
		}
	})
}

// A withdrawn attempt that has no connection yet is ended, so that it does not count as
// in flight any longer.
func TestWithdrawnAttemptEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, silent(false))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		synctest.Wait()
		if n := s.inFlight.count(); n != 0 {
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

// An answer that comes at the very limit of its attempt counts as what it says. The limit
// does not end another attempt.
func TestAnswerAtTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		s := newService(t, upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
			sent := req.BeforeSend()
			if attempts++; attempts == 1 {
				time.Sleep(req.Timeout + defaultAnswerGrace)
				return slashid.Result{Status: http.StatusServiceUnavailable, Sent: sent}
			}
			select {
			case <-time.After(time.Second):
				return slashid.Result{Status: http.StatusNoContent, Sent: sent}
			case <-ctx.Done():
				return slashid.Result{Sent: sent, Err: ctx.Err()}
			}
		}))
		for range 20 {
			attempts = 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(time.Second)})
			got := words(t, resp, err)
			if once := got == "UPSTREAM_UNAVAILABLE UNKNOWN" && attempts == 1; !once && (got != "REVOKED" || attempts != 2) {
				t.Errorf("got %s after %d attempts", got, attempts)
			}
			cancel()
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
		s.inFlight.limit = 1
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
		// One whose caller has left counts, for as long as it takes.
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

// Whatever a revocation is doing when quash waits no longer, it ends at once. Its caller,
// if there still is one, is told what is known, and the error of Wait counts it.
func TestWaitCutsOff(t *testing.T) {
	t.Parallel()
	slow := func(s step) step { s.after = time.Hour; return s }
	for _, tt := range []struct {
		name    string
		steps   []step
		leaves  bool   // the caller leaves before
		want    string // what the caller is told, or else the late outcome
		pushing time.Duration
	}{
		{"in back-off after 503", []step{retryAfter(unavailable, 20*time.Second)}, false, "UPSTREAM_UNAVAILABLE UNKNOWN", 15 * time.Second},
		{"in back-off after 429", []step{retryAfter(limited, 20*time.Second)}, false, "UPSTREAM_RATE_LIMITED NOT_APPLIED", 15 * time.Second},
		{"in back-off after 429 after a resend", []step{retryAfter(resent(limited), 20*time.Second)}, false, "UPSTREAM_RATE_LIMITED UNKNOWN", 15 * time.Second},
		{"in back-off after a refused connection", []step{retryAfter(notConnected, 20*time.Second)}, false, "UPSTREAM_UNREACHABLE NOT_APPLIED", 15 * time.Second},
		{"in back-off, without its caller", []step{retryAfter(unavailable, 20*time.Second)}, true, "UPSTREAM_UNAVAILABLE UNKNOWN", 0},
		{"sent", []step{slow(done204)}, false, "CALLER_CANCELLED UNKNOWN", 0},
		{"sent, without its caller", []step{slow(done204)}, true, "CALLER_CANCELLED UNKNOWN", 0},
		{"not sent", []step{slow(notConnected)}, false, "CALLER_CANCELLED NOT_APPLIED", 0},
		{"sent again", []step{unavailable, slow(done204)}, false, "CALLER_CANCELLED UNKNOWN", 0},
		{"sent again, without its caller", []step{unavailable, slow(done204)}, true, "CALLER_CANCELLED UNKNOWN", 0},
		{"about to be sent again", []step{unavailable, slow(notConnected)}, false, "CALLER_CANCELLED UNKNOWN", 0},
		{"about to be sent again after 429", []step{limited, slow(notConnected)}, false, "CALLER_CANCELLED NOT_APPLIED", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const calls = 3
				upstreams := make([]*script, calls)
				for i := range upstreams {
					upstreams[i] = &script{steps: tt.steps}
				}
				s := newService(t, upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
					i, _ := strconv.Atoi(req.Token.Reveal())
					return upstreams[i].Revoke(ctx, req)
				}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				answers := make(chan error, calls)
				for i := range calls {
					go func() {
						_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: strconv.Itoa(i), Timeout: durationpb.New(100 * time.Second)})
						answers <- err
					}()
				}
				time.Sleep(5 * time.Second)
				if tt.leaves {
					cancel()
				}
				synctest.Wait()
				s.Drain()
				expired, cancelWait := context.WithCancel(t.Context())
				cancelWait()
				begun := time.Now()
				err := s.Wait(expired)
				if err == nil || err.Error() != "3 revocations in progress were cut off: context canceled" || !errors.Is(err, context.Canceled) {
					t.Errorf("Wait: %v", err)
				}
				if waited := time.Since(begun); waited != 0 {
					t.Errorf("Wait took %s", waited)
				}
				want, late := tt.want, 0.0
				if tt.leaves {
					want, late = "CALLER_CANCELLED UNKNOWN", calls
				}
				for range calls {
					err := <-answers
					if got := words(t, nil, err); got != want {
						t.Errorf("a caller was told %s, want %s", got, want)
					}
					own, _ := errors.AsType[*Error](err)
					if delay, _ := own.Pushback(); tt.pushing != 0 && delay != tt.pushing {
						t.Errorf("back in %s, want %s", delay, tt.pushing)
					}
				}
				if got := s.lateOutcomes(t); got[tt.want] != late || late == 0 && len(got) != 0 {
					t.Errorf("late outcomes %v, want %g of %s", got, late, tt.want)
				}
				for _, u := range upstreams {
					if u.attempts() != len(tt.steps) {
						t.Errorf("%d attempts, want %d", u.attempts(), len(tt.steps))
					}
				}
			})
		})
	}
}

// An attempt that does not care that it is cut off is waited for.
func TestWaitForAStubbornAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			sent := req.BeforeSend()
			time.Sleep(time.Minute)
			return slashid.Result{Status: http.StatusNoContent, Sent: sent}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "CALLER_CANCELLED UNKNOWN" {
			t.Errorf("got %s", got)
		}
		s.Drain()
		begun := time.Now()
		if err := s.Wait(ctx); err == nil || time.Since(begun) != 59*time.Second {
			t.Errorf("Wait returned after %s: %v", time.Since(begun), err)
		}
		if late := s.lateOutcomes(t); late["REVOKED"] != 1 {
			t.Errorf("late outcomes %v", late)
		}
	})
}

// A defect on a retry gives back what the retry took, and tells what is known.
func TestDefectOnARetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			if attempts++; attempts == 1 {
				return slashid.Result{Status: http.StatusServiceUnavailable, Sent: req.BeforeSend()}
			}
			panic("a defect")
		}))
		_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "INTERNAL UNKNOWN" || attempts != 2 {
			t.Errorf("got %s after %d attempts", got, attempts)
		}
		if got := s.metrics(t)["quash.upstream.attempts LOCAL_REGION Panic"]; got != 1 {
			t.Errorf("%g attempts are counted as Panic, want 1", got)
		}
	}) // newService checks the budget
}

// The breaker opens for an upstream that is down, fails calls without asking it,
// probes, and closes again.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]slashid.Result{
		"500":                 {Status: http.StatusInternalServerError, Sent: true},
		"502":                 {Status: http.StatusBadGateway, Sent: true},
		"503":                 {Status: http.StatusServiceUnavailable, Sent: true},
		"504":                 {Status: http.StatusGatewayTimeout, Sent: true},
		"no connection":       notConnected.result,
		"a lost connection":   {Sent: true, Err: errors.New("reset")},
		"503 after a resend":  {Status: http.StatusServiceUnavailable, Sent: true, Resent: true},
		"lost after a resend": {Sent: true, Resent: true, Err: errors.New("reset")},
	} {
		synctest.Test(t, func(t *testing.T) {
			isDown := true
			calls := 0
			s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				calls++
				if !isDown {
					return slashid.Result{Status: http.StatusNoContent, Sent: req.BeforeSend()}
				}
				return down
			}))
			var err error
			for range breakerLeast {
				_, err = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			}
			failure := failureOf(t, err, codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN")
			own, _ := errors.AsType[*Error](err)
			if delay, ok := own.Pushback(); failure.GetState() != stateNotApplied || !ok || delay <= 0 || delay > 2*defaultBreakerRest {
				t.Errorf("%s: %v, back in %s", name, failure, delay)
			}
			before := calls
			_, _ = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
			if calls != before {
				t.Errorf("%s: upstream is asked while the breaker is open", name)
			}
			isDown = false
			time.Sleep(2 * defaultBreakerRest)
			for range 2 * breakerLeast {
				if _, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err != nil {
					t.Fatalf("%s: after recovery: %v", name, err)
				}
			}
		})
	}
}

// An attempt that probes whether SlashID is back uses a new connection: the present one
// may be what is broken. Others use what there is.
func TestProbesUseNewConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing, probes := slices.Repeat([]step{unavailable}, breakerLeast), []step{unavailable, notConnected, done204}
		upstream := &script{steps: slices.Concat(failing, probes, []step{unavailable, done204})}
		s := newService(t, upstream)
		for range breakerLeast {
			_, _ = s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		}
		if got := upstream.attempts(); got != breakerLeast {
			t.Fatalf("the breaker opened after %d attempts, want %d", got, breakerLeast)
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

// SlashID's silence opens the breaker when it has lasted for the attempt's own limit,
// though the callers left before. That they left is not held against SlashID.
func TestBreakerOpensForSilence(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"callers stay": time.Hour, "callers leave": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, silent(true))
			var wg sync.WaitGroup
			for range breakerLeast {
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

// A call whose attempt ends with the breaker open does not wait for a retry that would not
// be permitted.
func TestBreakerOpensDuringAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s measuredService
		s = newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			s.breaker.Open()
			return slashid.Result{Status: http.StatusServiceUnavailable, Sent: req.BeforeSend(), RetryAfter: 3 * time.Second}
		}))
		begun := time.Now()
		resp, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, resp, err); got != "UPSTREAM_UNAVAILABLE UNKNOWN" || time.Since(begun) != 0 {
			t.Errorf("got %s after %s", got, time.Since(begun))
		}
	})
}

// An attempt that panics, or that is withdrawn, is no probe that closes the breaker, nor
// one that keeps it half-open for ever.
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
			attempt = func(context.Context) slashid.Result {
				return slashid.Result{Status: http.StatusBadRequest, Envelope: true, Sent: true}
			}
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
	for _, answer := range []step{
		rejected, foreign400, unauthorized, answered(http.StatusForbidden),
		inProgress, opaque, limited, resent(limited), unexpected, answeredByProxy(http.StatusNotImplemented),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
				result := answer.result
				result.Sent = true
				return result
			}))
			for range 3 * breakerLeast {
				_, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
				if own, ok := errors.AsType[*Error](err); !ok || own.Reason() == "UPSTREAM_CIRCUIT_OPEN" {
					t.Fatalf("%+v: %v", answer.result, err)
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
