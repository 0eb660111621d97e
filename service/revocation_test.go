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

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// step is the result of one attempt.
type step struct {
	// unsent is whether the attempt finds no connection within after, so that the token is
	// never sent.
	unsent bool
	after  time.Duration
	result slashid.Result
}

// script is an upstream that answers each attempt with the next step, and records the
// requests. It treats BeforeSend and the context as slashid.Client does.
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

// answered returns a step in which SlashID answers with its error envelope.
func answered(status int) step {
	return step{result: slashid.Result{Status: status, Envelope: true, CorrelationID: http.StatusText(status)}}
}

// answeredByProxy returns a step in which a proxy answers, without the envelope.
func answeredByProxy(status int) step {
	s := answered(status)
	s.result.Envelope = false
	return s
}

// resent returns a step in which the token is sent more than once.
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

// The outcome of a call depends on all its attempts: a later response does not rule out that an
// earlier attempt was applied.
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
		want     string // the outcome, or the reason and the state
	}{
		{"at once", []step{done204}, 1, "REVOKED"},
		{"after two failures", []step{lostConnection, notConnected, done204}, 3, "REVOKED"},
		{"three times are enough", []step{unavailable, unavailable, unavailable}, 3, "UPSTREAM_UNAVAILABLE " + unknown},

		{"rejected at once", []step{rejected}, 1, "TOKEN_REJECTED " + notApplied},
		{"rejected after a lost connection", []step{lostConnection, rejected}, 2, "ALREADY_INVALID"},
		{"rejected after a refused connection", []step{notConnected, rejected}, 2, "TOKEN_REJECTED " + notApplied},
		{"rejected after 503 and 429", []step{unavailable, limited, rejected}, 3, "ALREADY_INVALID"},

		{"never connected", []step{notConnected, notConnected, notConnected}, 3, "UPSTREAM_UNREACHABLE " + notApplied},
		{"never connected again after a 503", []step{unavailable, notConnected, notConnected}, 3, "UPSTREAM_UNREACHABLE " + unknown},
		{"limited after a 503", []step{unavailable, limited, limited}, 3, "UPSTREAM_RATE_LIMITED " + unknown},
		{"key refused after a 503", []step{unavailable, unauthorized}, 2, "UPSTREAM_CREDENTIAL_REJECTED " + unknown},

		{"408 is not retried", []step{inProgress}, 1, "CONSISTENCY_TIMEOUT IN_PROGRESS"},
		{"nor is a proxy's", []step{opaque}, 1, "CONSISTENCY_TIMEOUT " + unknown},
		{"nor is a refused key", []step{unauthorized}, 1, "UPSTREAM_CREDENTIAL_REJECTED " + notApplied},
		{"429 waits for its Retry-After", []step{retryAfter(limited, 3*time.Second), done204}, 2, "REVOKED"},
		{"429 beyond the time that is left", []step{retryAfter(limited, time.Minute)}, 1, "UPSTREAM_RATE_LIMITED " + notApplied},
		{"503 beyond the time that is left", []step{retryAfter(unavailable, time.Minute)}, 1, "UPSTREAM_UNAVAILABLE " + unknown},

		// The response to a token that was sent twice says nothing about the first time.
		{"rejected after a resend", []step{resent(rejected)}, 1, "ALREADY_INVALID"},
		{"429 after a resend", []step{retryAfter(resent(limited), time.Minute)}, 1, "UPSTREAM_RATE_LIMITED " + unknown},
		{"limited thrice, at first after a resend", []step{resent(limited), limited, limited}, 3, "UPSTREAM_RATE_LIMITED " + unknown},
		{"rejected after a 429 after a resend", []step{resent(limited), rejected}, 2, "ALREADY_INVALID"},
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
				if own, ok := errors.AsType[*Error](err); ok && own.summary.Attempts != tt.attempts {
					t.Errorf("it says %d attempts", own.summary.Attempts)
				}
			})
		})
	}
}

// words returns an answer in the form of TestAttempts. It checks that AllLabels has its labels.
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

// The details describe the last response, even if later attempts got none.
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

// The timeout of each attempt is at most the time that is left until the caller's deadline.
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

// A call waits for the whole Retry-After, plus the back-off.
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

// A caller that cancels is answered at once. A revocation that was sent continues, Wait waits
// for it, and its late outcome is counted. A token that was not sent is never sent.
func TestCallerCancels(t *testing.T) {
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

// A caller cancels at the moment when its token is about to be sent, or when the answer comes.
// Either it receives NOT_APPLIED or the token is sent, and either it receives the answer or the
// answer is late. Never both.
func TestCallerCancelsAtThatMoment(t *testing.T) {
	t.Parallel()
	for range 20_000 {
		r := &revocation{cancel: func(error) {}}
		sent := make(chan bool, 1)
		go func() { sent <- r.beforeSend() }()
		state := r.leave(callerCancelled).err.State()
		if sent := <-sent; sent == (state == "NOT_APPLIED") || sent != r.beforeSend() {
			t.Fatalf("sent %t, and the caller received %s", sent, state)
		}
	}
	for range 20_000 {
		r := &revocation{cancel: func(error) {}, maybeApplied: true}
		late := make(chan bool, 1)
		go func() { _, l := r.end(answer{resp: &quashv1.RevokeResponse{}}); late <- l }()
		got := r.leave(callerCancelled)
		if late := <-late; late == (got.resp != nil) || late == (got.err == nil) {
			t.Fatalf("late %t, and the caller received %+v", late, got)
		}
	}
}

// A withdrawn attempt is in flight until the upstream returns, but does not count as a
// revocation in the background.
func TestWithdrawnAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			return notConnected.result // which would otherwise be retried
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "UPSTREAM_TIMEOUT NOT_APPLIED" {
			t.Errorf("got %s", got)
		}
		if n, _ := s.inFlight.background(); n != 0 || s.inFlight.count() != 1 {
			t.Errorf("%d in flight, %d in the background, want 1 and 0", s.inFlight.count(), n)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if late := s.lateOutcomes(t); s.inFlight.count() != 0 || len(late) != 0 {
			t.Errorf("%d in flight afterwards, late outcomes %v", s.inFlight.count(), late)
		}
	})
}

// After a panic, also on a retry, the revocation is released. The caller receives INTERNAL, or
// INTERNAL is the late outcome.
func TestDefect(t *testing.T) {
	t.Parallel()
	for deadline, want := range map[time.Duration]string{time.Hour: "INTERNAL UNKNOWN", 2 * time.Second: "UPSTREAM_TIMEOUT UNKNOWN"} {
		synctest.Test(t, func(t *testing.T) {
			attempts := 0
			s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
				sent := req.BeforeSend()
				if attempts++; attempts == 1 {
					return slashid.Result{Status: http.StatusServiceUnavailable, Sent: sent}
				}
				time.Sleep(5 * time.Second)
				panic("a defect")
			}))
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
			if got := words(t, nil, err); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if late := s.lateOutcomes(t)["INTERNAL UNKNOWN"] == 1; late != (deadline < time.Hour) {
				t.Errorf("it is a late outcome: %t", late)
			}
			if got := s.metrics(t)["quash.upstream.attempts LOCAL_REGION Panic"]; got != 1 {
				t.Errorf("%g attempts are counted as Panic, want 1", got)
			}
		}) // newService checks that nothing is in flight and that the budget is unspent
	}
}

// A response that comes exactly at the limit of its attempt counts. The limit does not cancel
// the next attempt.
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
