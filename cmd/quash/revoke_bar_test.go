package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
)

// barOf is the bar of a run that has been watched for a while.
func barOf(expected int64, each time.Duration, states ...bulk.Progress) bar {
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	speed := newSpeed(now)
	for _, state := range states {
		now = now.Add(each)
		speed.add(now, state)
	}
	return bar{states[len(states)-1], journal.Counts{journal.Revoked: 1234}, expected, speed}
}

// What one is told to watch is seen on a terminal of the usual width.
func TestBarInEightyColumns(t *testing.T) {
	t.Parallel()
	b := barOf(200_000, time.Second, bulk.Progress{Line: 120_000, Asked: 120_000}, bulk.Progress{Line: 121_000, Asked: 121_000})
	b.counts = journal.Counts{journal.Revoked: 120_990, journal.Rejected: 10}
	const want = "[######----]  60%  line 121,000 of about 200,000  120,990 dead  10 rejected"
	if got := b.fit(80); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	at := func(line int64) bulk.Progress { return bulk.Progress{Line: line, Asked: line} }
	outage := at(500)
	outage.Outage = time.Date(2026, 11, 24, 2, 58, 55, 0, time.UTC)
	for name, c := range map[string]struct {
		bar
		want string
	}{
		"steady":                   {barOf(1000, time.Second, at(100), at(200)), "line 200 of about 1,000, 1,234 dead, 8s left, 100/s"},
		"a pipe":                   {barOf(0, time.Second, at(100), at(200)), "line 200, 1,234 dead, 100/s"},
		"before the first line":    {barOf(0, time.Second, at(0)), "line 0, 1,234 dead, 0/s"},
		"no line yet, of many":     {barOf(1000, time.Second, at(0)), "line 0 of about 1,000, 1,234 dead, 0/s"},
		"at the end":               {barOf(200, time.Second, at(100), at(200)), "line 200 of about 200, 1,234 dead, 0s left, 100/s"},
		"no time has passed":       {barOf(1000, 0, at(100)), "line 100 of about 1,000, 1,234 dead, 0/s"},
		"the clock was set back":   {barOf(1000, -time.Hour, at(100)), "line 100 of about 1,000, 1,234 dead, 0/s"},
		"longer than anyone lives": {barOf(math.MaxInt64, time.Hour, at(1), at(2)), "line 2 of about 9,223,372,036,854,775,807, 1,234 dead, 0/s"},
		"nothing moves any more":   {barOf(1000, time.Hour, at(100), at(100)), "line 100 of about 1,000, 1,234 dead, 0/s"},
		"nothing gets through":     {barOf(1000, time.Second, at(400), outage), "line 500 of about 1,000, nothing gets through for 1m7s, 1,234 dead, 340/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.line(); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
			for columns := range 200 {
				if fit := c.fit(columns); len(fit) >= max(1, columns) || strings.ContainsAny(fit, "\n\r") {
					t.Errorf("in %d columns it is %q", columns, fit)
				}
			}
		})
	}
}
