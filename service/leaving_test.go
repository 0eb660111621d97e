package service

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// However caller and answer meet, the outcome is told once: to the caller, or to the log.
func TestCallerGoesAsTheAnswerComes(t *testing.T) {
	t.Parallel()
	for name, leaving := range map[string]func(context.Context, *TokenService) (context.Context, context.CancelFunc){
		"by cancelling": func(ctx context.Context, _ *TokenService) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"by its deadline": func(ctx context.Context, s *TokenService) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second+s.cfg.DeadlineMargin)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const runs = 50
				s := newService(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
					sent := req.BeforeSend()
					time.Sleep(time.Second)
					return slashid.Result{Status: http.StatusNoContent, Sent: sent}
				}))
				told := 0.0
				for range runs {
					ctx, cancel := leaving(t.Context(), s.TokenService)
					resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
					cancel()
					switch got := words(t, resp, err); got {
					case "REVOKED":
						told++
					case "CALLER_CANCELLED UNKNOWN", "UPSTREAM_TIMEOUT UNKNOWN":
					default:
						t.Errorf("got %s", got)
					}
					synctest.Wait()
				}
				if late := s.lateOutcomes(t)["REVOKED"]; told+late != runs {
					t.Errorf("%g callers were told and %g outcomes were late, of %d", told, late, runs)
				}
				if n, _ := s.inFlight.background(); n != 0 || s.inFlight.count() != 0 {
					t.Errorf("%d in flight, %d in the background", s.inFlight.count(), n)
				}
			})
		})
	}
}

// However callers, sendings and answers meet, what a caller is told is true: a token that
// is said not to be revoked is not, and is not sent afterwards either.
func TestAnswersAreTrue(t *testing.T) {
	t.Parallel()
	for name, cutOff := range map[string]time.Duration{
		"callers leave":             time.Hour,
		"callers leave and cut off": 3 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := map[string]int{}
			for seed := range uint64(20) { // one bubble with as many timers breaks the race detector, golang/go#78156
				synctest.Test(t, func(t *testing.T) { checkErraticCalls(t, seed, cutOff, told) })
			}
			for _, want := range []string{
				"CALLER_CANCELLED NOT_APPLIED", "CALLER_CANCELLED UNKNOWN", "UPSTREAM_TIMEOUT NOT_APPLIED", "UPSTREAM_TIMEOUT UNKNOWN",
				"REVOKED", "TOKEN_REJECTED NOT_APPLIED", "ALREADY_INVALID",
			} {
				if told[want] == 0 {
					t.Errorf("it does not happen that a caller is told %s", want)
				}
			}
			if told["INTERNAL UNKNOWN"] != 0 {
				t.Error("a token was sent, and withdrawn after that") // see erratic
			}
		})
	}
}

// checkErraticCalls makes calls to an erratic upstream, from callers of which most leave.
// It checks what they are told, and counts it.
func checkErraticCalls(t *testing.T, seed uint64, cutOff time.Duration, told map[string]int) {
	t.Helper()
	const calls = 100
	upstream := erratic{}
	for i := range uint64(calls) {
		upstream[strconv.FormatUint(i, 10)] = &trackedToken{random: rand.New(rand.NewPCG(seed, i))}
	}
	s := newService(t, upstream)
	s.breaker = circuitbreaker.NewBuilder[any]().WithFailureThreshold(calls * maxAttempts).Build() // never opens here
	var callers sync.WaitGroup
	for name, token := range upstream {
		callers.Go(func() {
			ctx, cancel := token.leaves(t.Context(), s.cfg.DeadlineMargin)
			defer cancel()
			resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: name})
			token.told, token.sendsThen = words(t, resp, err), token.sends.Load()
		})
	}
	synctest.Wait()
	s.Drain()
	ctx, cancel := context.WithTimeout(t.Context(), cutOff)
	defer cancel()
	if err := s.Wait(ctx); (err != nil) != (cutOff < time.Hour) {
		t.Errorf("Wait: %v", err)
	}
	callers.Wait()
	left, late := 0.0, 0.0
	for name, token := range upstream {
		token.check(t, name)
		told[token.told]++
		if token.told == "CALLER_CANCELLED UNKNOWN" || token.told == "UPSTREAM_TIMEOUT UNKNOWN" {
			left++
		}
	}
	for outcome, n := range s.lateOutcomes(t) {
		told[outcome] += int(n)
		late += n
	}
	// When quash cuts off what was sent, it tells the caller that is still there.
	if late > left || cutOff == time.Hour && late != left {
		t.Errorf("%g outcomes were late, and %g callers left what was sent", late, left)
	}
}

// A caller leaves at the very moment when its token is about to be sent, and when there is
// an answer. It is told NOT_APPLIED, or the token is sent; it gets the answer, or the
// answer is late. Neither is both.
func TestCallerLeavesAtThatMoment(t *testing.T) {
	t.Parallel()
	const runs = 30_000
	random := rand.New(rand.NewPCG(1, 2))
	for range runs {
		r := &revocation{cancel: func(error) {}}
		got := atOneMoment(random, func() answer { return r.leave(callerCancelled) }, r.beforeSend)
		if withdrawn := got.a.err.State() == "NOT_APPLIED"; withdrawn == got.b {
			t.Fatalf("sent %t, and the caller was told %s", got.b, got.a.err.State())
		}
		if sent := r.beforeSend(); sent != got.b {
			t.Fatalf("sent %t, and afterwards %t", got.b, sent)
		}
	}
	for range runs {
		r := &revocation{cancel: func(error) {}}
		r.beforeSend()
		resp := &quashv1.RevokeResponse{}
		got := atOneMoment(random, func() answer { return r.leave(callerCancelled) }, func() bool {
			_, late := r.end(answer{resp: resp})
			return late
		})
		if told := got.a.resp == resp; told == got.b || told == (got.a.err != nil) {
			t.Fatalf("late %t, and the caller was told %+v", got.b, got.a)
		}
	}
}

type both[A, B any] struct {
	a A
	b B
}

// atOneMoment calls both functions, each on a goroutine of its own, as far as possible at
// the same time.
func atOneMoment[A, B any](random *rand.Rand, a func() A, b func() B) both[A, B] {
	var ready atomic.Int32
	meet := func(detour int) {
		ready.Add(1)
		for ready.Load() < 2 {
			runtime.Gosched()
		}
		for range detour {
			ready.Load()
		}
	}
	detourOfA, detourOfB := random.IntN(50), random.IntN(50)
	resultOfA := make(chan A, 1)
	go func() {
		meet(detourOfA)
		resultOfA <- a()
	}()
	meet(detourOfB)
	resultOfB := b()
	return both[A, B]{<-resultOfA, resultOfB}
}

// trackedToken is a token of erratic's, and what became of it.
type trackedToken struct {
	random *rand.Rand // of the goroutine that does something with the token

	invalid bool // from the start
	revoked atomic.Bool
	sends   atomic.Int64

	told      string
	sendsThen int64 // how often it had been sent when the caller was told
}

func (k *trackedToken) oneIn(n int) bool { return k.random.IntN(n) == 0 }

// leaves returns the context of the token's caller, which may end, and then mostly while
// the first attempt is under way.
func (k *trackedToken) leaves(ctx context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	k.invalid = k.oneIn(8)
	after := time.Duration(k.random.IntN(8)) * time.Millisecond
	if k.oneIn(3) {
		after = time.Duration(k.random.IntN(300)) * time.Millisecond
	}
	switch k.random.IntN(5) {
	case 0:
		return context.WithCancel(ctx)
	case 1:
		return context.WithTimeout(ctx, after+margin)
	default:
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(after, cancel)
		return ctx, cancel
	}
}

// pause waits for a moment, and reports whether ctx has not ended.
func (k *trackedToken) pause(ctx context.Context) bool {
	timer := time.NewTimer(time.Duration(k.random.IntN(4)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		for range k.random.IntN(8) { // others come first, sometimes
			runtime.Gosched()
		}
		return true
	case <-ctx.Done():
		return false
	}
}

// check compares what the caller was told with what became of the token.
func (k *trackedToken) check(t *testing.T, name string) {
	t.Helper()
	dead := k.invalid || k.revoked.Load()
	switch {
	case strings.HasSuffix(k.told, " NOT_APPLIED"):
		if k.revoked.Load() {
			t.Errorf("%s is revoked, and its caller was told %s", name, k.told)
		}
		if sends := k.sends.Load(); sends != k.sendsThen {
			t.Errorf("%s was sent %d times, %d of them after its caller was told %s", name, sends, sends-k.sendsThen, k.told)
		}
	case k.told == "REVOKED" && !k.revoked.Load(), k.told == "ALREADY_INVALID" && !dead:
		t.Errorf("%s is alive, and its caller was told %s", name, k.told)
	}
}

// erratic is an upstream that does everything that it may. Not always does it notice in
// time that its context has ended.
type erratic map[string]*trackedToken

func (u erratic) Revoke(ctx context.Context, req slashid.Request) slashid.Result {
	token := u[req.Token.Reveal()]
	noticed := ctx
	if token.oneIn(2) {
		noticed = context.WithoutCancel(ctx)
	}
	if !token.pause(noticed) {
		return slashid.Result{Err: ctx.Err()}
	}
	if token.oneIn(6) {
		return notConnected.result
	}
	if !req.BeforeSend() {
		return slashid.Result{Err: slashid.ErrNotSent}
	}
	token.sends.Add(1)
	result := slashid.Result{Sent: true, Envelope: true}
	if token.oneIn(4) {
		// It is said to be unprocessed, and not always is.
		if token.oneIn(2) && !token.invalid {
			token.revoked.Store(true)
		}
		if !token.pause(noticed) {
			result.Err = ctx.Err()
			return result
		}
		if !req.BeforeSend() {
			panic("the token was sent, and then withdrawn")
		}
		token.sends.Add(1)
		result.Resent = true
	}
	result.Status = []int{
		http.StatusNoContent, http.StatusNoContent, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusTooManyRequests,
		http.StatusServiceUnavailable, 0,
	}[token.random.IntN(7)]
	switch result.Status {
	case http.StatusNoContent:
		if token.invalid || token.revoked.Swap(true) {
			result.Status = http.StatusBadRequest
		}
	case http.StatusServiceUnavailable, 0:
		if token.oneIn(2) && !token.invalid {
			token.revoked.Store(true)
		}
	}
	if !token.pause(noticed) {
		return slashid.Result{Sent: true, Resent: result.Resent, Err: ctx.Err()}
	}
	return result
}

// A caller that leaves when the answer is there gets the answer.
func TestCallerGoesWithTheAnswerThere(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, atOnce{})
			for range 50 {
				resp, err := s.Revoke(endsWithTheAnswer{t.Context(), cause}, &quashv1.RevokeRequest{Token: "a"})
				if err != nil {
					t.Fatalf("%v: got %s", cause, words(t, resp, err))
				}
			}
			if late := s.lateOutcomes(t); len(late) != 0 {
				t.Errorf("%v: late outcomes %v", cause, late)
			}
		})
	}
}

// endsWithTheAnswer is the context of a caller that leaves for the given cause. When it
// is first waited for, everything that need not wait has happened.
type endsWithTheAnswer struct {
	context.Context //nolint:containedctx // it is one

	cause error
}

func (endsWithTheAnswer) Done() <-chan struct{} {
	synctest.Wait()
	done := make(chan struct{})
	close(done)
	return done
}

func (c endsWithTheAnswer) Err() error { return c.cause }

// A withdrawn attempt is in flight for as long as it takes, and is no revocation that
// goes on without its caller.
func TestWithdrawnAttemptIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			// As if it had been about to say that, which would otherwise be retried.
			return notConnected.result
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "CALLER_CANCELLED NOT_APPLIED" {
			t.Errorf("got %s", got)
		}
		if n, _ := s.inFlight.background(); n != 0 || s.inFlight.count() != 1 {
			t.Errorf("%d in flight, %d in the background, want 1 and 0", s.inFlight.count(), n)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := s.inFlight.count(); n != 0 {
			t.Errorf("%d in flight afterwards", n)
		}
		if got := s.metrics(t)["quash.upstream.attempts LOCAL_REGION Cancelled"]; got != 1 {
			t.Errorf("%g attempts are counted, want 1", got)
		}
		if late := s.lateOutcomes(t); len(late) != 0 {
			t.Errorf("late outcomes %v", late)
		}
	})
}

// A call between two attempts goes on while quash drains, and ends at once, with what it
// knows, when quash waits no longer.
func TestShutdownDuringBackoff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		patience time.Duration // of Wait
		goes     bool          // whether the caller has left by then
		want     string        // the answer, or the late outcome
	}{
		{"in time", time.Minute, false, "REVOKED"},
		{"in time, without its caller", time.Minute, true, "REVOKED"},
		{"cut off", time.Second, false, "UPSTREAM_UNAVAILABLE UNKNOWN"},
		{"cut off, without its caller", time.Second, true, "UPSTREAM_UNAVAILABLE UNKNOWN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, &script{steps: []step{retryAfter(unavailable, 20*time.Second), done204}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				answer := make(chan string, 1)
				go func() {
					resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(100 * time.Second)})
					answer <- words(t, resp, err)
				}()
				synctest.Wait()
				if tt.goes {
					cancel()
					if got := <-answer; got != "CALLER_CANCELLED UNKNOWN" {
						t.Errorf("the caller that goes is told %s", got)
					}
				}
				s.Drain()
				waiting, cancelWait := context.WithTimeout(t.Context(), tt.patience)
				defer cancelWait()
				if err := s.Wait(waiting); (err == nil) != (tt.want == "REVOKED") {
					t.Errorf("Wait: %v", err)
				}
				late := s.lateOutcomes(t)
				if tt.goes {
					if late[tt.want] != 1 {
						t.Errorf("late outcomes %v, want %s", late, tt.want)
					}
					return
				}
				if got := <-answer; got != tt.want || len(late) != 0 {
					t.Errorf("got %s and late outcomes %v, want %s and none", got, late, tt.want)
				}
			})
		})
	}
}

// An attempt that is given up is what it came to, where that was quicker.
func TestAnswerToAnAttemptGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
			sent := req.BeforeSend()
			<-ctx.Done()
			return slashid.Result{Status: http.StatusNoContent, Sent: sent}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, resp, err); got != "REVOKED" {
			t.Errorf("got %s", got)
		}
	})
}
