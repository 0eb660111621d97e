package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

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
					sent := req.Commit()
					time.Sleep(time.Second)
					return slashid.Result{Kind: slashid.Revoked, Sent: sent}
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
				if n, _ := s.background.oldest(); n != 0 || s.flights.count() != 0 {
					t.Errorf("%d in flight, %d in the background", s.flights.count(), n)
				}
			})
		})
	}
}

// A caller that leaves when the answer is there is told.
func TestCallerGoesWithTheAnswerThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newService(t, answersAs(cancel))
		for range 50 {
			if resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"}); err != nil {
				t.Fatalf("got %s", words(t, resp, err))
			}
		}
	})
}

// answersAs is an upstream that answers at once, as something else happens.
type answersAs func()

func (f answersAs) Begin(ctx context.Context, req slashid.Request) *slashid.Attempt {
	a := atOnce{}.Begin(ctx, req)
	f()
	return a
}

// What nobody wants any more takes its place for as long as it takes, and is no
// revocation that goes on.
func TestWithdrawnAttemptIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, upstreamtest.Func(func(ctx context.Context, _ slashid.Request) slashid.Result {
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			// As if it had been about to say that, which would be tried again.
			return slashid.Result{Kind: slashid.NotConnected}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, nil, err); got != "CALLER_CANCELLED NOT_APPLIED" {
			t.Errorf("got %s", got)
		}
		if n, _ := s.background.oldest(); n != 0 || s.flights.count() != 1 {
			t.Errorf("%d in flight, %d in the background, want 1 and 0", s.flights.count(), n)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := s.flights.count(); n != 0 {
			t.Errorf("%d in flight afterwards", n)
		}
		if got := s.metrics(t)["quash.upstream.attempts LOCAL_REGION NotConnected"]; got != 1 {
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
		goes     bool          // whether the caller has gone by then
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
			sent := req.Commit()
			<-ctx.Done()
			return slashid.Result{Kind: slashid.Revoked, Sent: sent}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a"})
		if got := words(t, resp, err); got != "REVOKED" {
			t.Errorf("got %s", got)
		}
	})
}
