package main

import (
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/bulk"
)

// barOf is the bar of a run that had so many calls answered in a second.
func barOf(state bulk.Progress, calls int) bar {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	speed := speed{at: now.Add(-time.Second)}
	speed.add(now, calls)
	return bar{state, speed}
}

func TestBar(t *testing.T) {
	t.Parallel()
	outcomes := map[bulk.Outcome]int{bulk.Dead: 1234, bulk.NotAsked: 800}
	outage := bulk.Progress{Tokens: 2000, Settled: 1200, Outcomes: outcomes, Outage: time.Date(2026, 11, 24, 2, 58, 53, 0, time.UTC)}
	for name, c := range map[string]struct {
		bar
		want string
	}{
		"steady":               {barOf(bulk.Progress{Tokens: 2000, Settled: 1200, Outcomes: outcomes}, 100), "1,200 of 2,000 tokens, 1,234 dead, 8s left, 100/s"},
		"before the first":     {barOf(bulk.Progress{Tokens: 2000}, 0), "0 of 2,000 tokens, 0 dead, 0/s"},
		"no tokens":            {barOf(bulk.Progress{Outcomes: map[bulk.Outcome]int{bulk.NoToken: 3}}, 0), "0 of 0 tokens, 0 dead, 3 no token, 0/s"},
		"at the end":           {barOf(bulk.Progress{Tokens: 2000, Settled: 2000, Outcomes: map[bulk.Outcome]int{bulk.Dead: 1999, bulk.Rejected: 1}}, 100), "2,000 of 2,000 tokens, 1,999 dead, 1 rejected, 0s left, 100/s"},
		"nothing gets through": {barOf(outage, 100), "1,200 of 2,000 tokens, nothing gets through for 1m7s, 1,234 dead, 100/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(c.parts(), ", "); got != c.want {
				t.Errorf("it is %q, want %q", got, c.want)
			}
			for columns := range 200 {
				if fit := c.fit(columns); len(fit) >= max(1, columns) || strings.ContainsAny(fit, "\n\r") {
					t.Errorf("in %d columns it is %q", columns, fit)
				}
			}
		})
	}
	// What the operator is told to watch fits on a terminal of the usual width.
	b := barOf(bulk.Progress{Tokens: 200_000, Settled: 121_000, Outcomes: map[bulk.Outcome]int{bulk.Dead: 120_990, bulk.Rejected: 10}}, 1000)
	const want = "[######----]  60%  121,000 of 200,000 tokens  120,990 dead  10 rejected"
	if got := b.fit(80); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
