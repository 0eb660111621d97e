package service

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// The metrics have the right values without revocations, with one in the background, and after
// it.
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
		// Only the second attempt waits for the consistency.
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

// Each outcome of an attempt has a unique name, because the name is a label. Its series exists
// from the start, at both levels.
func TestResultsHaveNames(t *testing.T) {
	t.Parallel()
	series := newService(t, atOnce{}).declared
	ofAttempts := attemptOutcomes()
	seen := map[string]bool{}
	for o := revoked; int(o) < len(outcomes); o++ {
		name := outcomes[o].result
		if !ofAttempts[o] {
			if name != "" {
				t.Errorf("row %d is called %q, but is not an outcome of attempts", o, name)
			}
			continue
		}
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }) || seen[name] {
			t.Errorf("row %d is called %q", o, name)
		}
		seen[name] = true
		for _, level := range []string{"LOCAL_REGION ", "ALL_REGIONS "} {
			if value, ok := series["quash.upstream.attempts "+level+name]; !ok || value != 0 {
				t.Errorf("%s%s: %v at the start, there %t", level, name, value, ok)
			}
		}
	}
}
