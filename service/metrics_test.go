package service

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// Each metric has the value that it should, while a revocation goes on without its
// caller and after it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := done204
		slow.after = 5 * time.Second
		s := newService(t, &script{steps: []step{unavailable, done204, slow}})
		want := func(when string, want map[string]float64) {
			t.Helper()
			got := s.metrics(t)
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s, %s is %v, want %v", when, name, got[name], value)
				}
			}
		}
		// Over the second attempt, which is the first to wait for anything.
		if _, err := s.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err != nil {
			t.Fatal(err)
		}
		want("with nothing to do", map[string]float64{
			"quash.upstream.attempts LOCAL_REGION Unavailable": 1,
			"quash.upstream.attempts LOCAL_REGION Revoked":     1,
			"quash.consistency.wait LOCAL_REGION Unavailable":  0,
			"quash.consistency.wait LOCAL_REGION Revoked":      1,
			"quash.in_flight":              0,
			"quash.in_flight.limit":        DefaultMaxInFlight,
			"quash.background.revocations": 0,
			"quash.background.oldest":      0,
			"quash.breaker closed":         1,
			"quash.breaker half_open":      0,
			"quash.breaker open":           0,
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Revoke(ctx, &quashv1.RevokeRequest{
			Token: "a", Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		}); err == nil {
			t.Error("there is an answer")
		}
		time.Sleep(3*time.Second - 980*time.Millisecond)
		want("with one in the background", map[string]float64{
			"quash.in_flight":              1,
			"quash.background.revocations": 1,
			"quash.background.oldest":      3,
		})
		time.Sleep(slow.after)
		synctest.Wait()
		s.breaker.Open()
		want("afterwards", map[string]float64{
			"quash.upstream.attempts ALL_REGIONS Revoked": 1,
			"quash.consistency.wait ALL_REGIONS Revoked":  1,
			"quash.background.outcomes REVOKED":           1,
			"quash.in_flight":                             0,
			"quash.background.revocations":                0,
			"quash.background.oldest":                     0,
			"quash.breaker closed":                        0,
			"quash.breaker open":                          1,
		})
	})
}

// Every kind of result has a name of its own, since it is a label.
func TestResultsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for kind := slashid.Revoked; kind <= slashid.KeptBack; kind++ {
		name := kind.String()
		if name == "" || name[len(name)-1] == ')' || seen[name] {
			t.Errorf("%d is called %q", kind, name)
		}
		seen[name] = true
	}
}
