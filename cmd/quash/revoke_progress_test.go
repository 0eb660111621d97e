package main

import (
	"testing"
	"time"

	"github.com/quashdev/quash/internal/bulk"
)

func TestProgressLine(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	outcomes := map[bulk.Outcome]int{bulk.Dead: 1234, bulk.NotAsked: 800}
	for want, state := range map[string]bulk.Progress{
		"1200 of 2000 tokens, 1234 dead, 8s left, 100/s":    {Tokens: 2000, Settled: 1200, Outcomes: outcomes},
		"0 of 0 tokens, 0 dead, 3 no token, 0s left, 100/s": {Outcomes: map[bulk.Outcome]int{bulk.NoToken: 3}},
		"2 of 9 tokens, outage for 1m7s, 2 dead, 100/s":     {Tokens: 9, Settled: 2, Outcomes: map[bulk.Outcome]int{bulk.Dead: 2}, Outage: now.Add(-67 * time.Second)},
	} {
		if got := progressLine(state, now, 100); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
}
