package service

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// A retry is allowed if there are few retries, or if they are a small share of what is in
// flight.
func TestRetriesAreBudgeted(t *testing.T) {
	t.Parallel()
	for in, want := range map[struct{ calls, retries int }]bool{
		{1, 0}:                           true,
		{retryFloor - 1, retryFloor - 1}: true,
		{retryFloor, retryFloor}:         false,
		{400, 100}:                       true,
		{400, 101}:                       false,
	} {
		f := newInFlight(DefaultMaxInFlight)
		for range in.calls {
			f.acquire(&revocation{})
		}
		f.retries = in.retries
		if got := f.acquireRetry(); got != want {
			t.Errorf("%+v: %t, want %t", in, got, want)
		}
	}
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
		// A revocation in the background counts until it ends.
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

// When the context of Wait ends, every revocation ends at once, in whichever phase it is. If
// its caller still waits, the caller gets an error. The error of Wait counts the revocation.
func TestWaitCancels(t *testing.T) {
	t.Parallel()
	slow := func(s step) step { s.after = time.Hour; return s }
	for _, tt := range []struct {
		name    string
		steps   []step
		leaves  bool   // whether the caller cancels before
		want    string // what the caller receives, or else the late outcome
		pushing time.Duration
	}{
		{"in back-off after 503", []step{retryAfter(unavailable, 20*time.Second)}, false, "UPSTREAM_UNAVAILABLE UNKNOWN", 15 * time.Second},
		{"in back-off after 429", []step{retryAfter(limited, 20*time.Second)}, false, "UPSTREAM_RATE_LIMITED NOT_APPLIED", 15 * time.Second},
		{"in back-off after a refused connection", []step{retryAfter(notConnected, 20*time.Second)}, false, "UPSTREAM_UNREACHABLE NOT_APPLIED", 15 * time.Second},
		{"in back-off, without its caller", []step{retryAfter(unavailable, 20*time.Second)}, true, "UPSTREAM_UNAVAILABLE UNKNOWN", 0},
		{"sent", []step{slow(done204)}, false, "CALLER_CANCELLED UNKNOWN", 0},
		{"sent, without its caller", []step{slow(done204)}, true, "CALLER_CANCELLED UNKNOWN", 0},
		{"not sent", []step{slow(notConnected)}, false, "CALLER_CANCELLED NOT_APPLIED", 0},
		{"sent again", []step{unavailable, slow(done204)}, false, "CALLER_CANCELLED UNKNOWN", 0},
		{"about to be sent again after 429", []step{limited, slow(notConnected)}, false, "CALLER_CANCELLED NOT_APPLIED", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream := &script{steps: tt.steps}
				s := newService(t, upstream)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				answer := make(chan error, 1)
				go func() {
					_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", Timeout: durationpb.New(100 * time.Second)})
					answer <- err
				}()
				time.Sleep(5 * time.Second)
				want, late := tt.want, 0.0
				if tt.leaves {
					want, late = "CALLER_CANCELLED UNKNOWN", 1
					cancel()
				}
				synctest.Wait()
				s.Drain()
				expired, cancelWait := context.WithCancel(t.Context())
				cancelWait()
				begun := time.Now()
				err := s.Wait(expired)
				if err == nil || err.Error() != "1 revocations in flight were cancelled: context canceled" || !errors.Is(err, context.Canceled) {
					t.Errorf("Wait: %v", err)
				}
				if waited := time.Since(begun); waited != 0 {
					t.Errorf("Wait took %s", waited)
				}
				err = <-answer
				if got := words(t, nil, err); got != want {
					t.Errorf("the caller received %s, want %s", got, want)
				}
				own, _ := errors.AsType[*Error](err)
				if delay, _ := own.Pushback(); tt.pushing != 0 && delay != tt.pushing {
					t.Errorf("back in %s, want %s", delay, tt.pushing)
				}
				if got := s.lateOutcomes(t); got[tt.want] != late {
					t.Errorf("late outcomes %v, want %g of %s", got, late, tt.want)
				}
				if got := upstream.attempts(); got != len(tt.steps) {
					t.Errorf("%d attempts, want %d", got, len(tt.steps))
				}
			})
		})
	}
}

// Wait waits for an attempt that ignores its context.
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
