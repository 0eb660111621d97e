package main

import (
	"slices"
	"testing"
	"time"
)

// Rounds are compared with themselves: when one was slow for all, that says nothing.
func TestRatio(t *testing.T) {
	t.Parallel()
	costing := func(times ...time.Duration) (all []figures) {
		for _, cpu := range times {
			all = append(all, figures{cpu: cpu})
		}
		return all
	}
	of, to := row{quashName, http1, 1}, row{textbookName, http1, 1}
	c := &competition{figures: map[row][]figures{of: costing(10, 20, 90), to: costing(10, 40, 30)}}
	if middle, least, most := c.ratio(of, to); middle != 1 || least != 0.5 || most != 3 {
		t.Errorf("got %g, from %g to %g", middle, least, most)
	}
}

func TestAllBars(t *testing.T) {
	t.Parallel()
	one := allBars([]build{{name: quashName}})
	for _, want := range []bar{
		{of: quashName, to: textbookName, on: http1, most: 1.35, aim: 1.1},
		{of: quashName, to: textbookName, on: http2, most: 1.2, aim: 1.1},
		{of: "quash, native", to: proxyName, most: 1.05, aim: 0.9},
		{of: "quash, drop-in", to: nginxName},
	} {
		if !slices.Contains(one, want) {
			t.Errorf("%+v is missing", want)
		}
	}
	two := allBars([]build{{name: quashName}, {name: baselineName}})
	if !slices.Contains(two, bar{of: "quash, native", to: "quash (baseline), native"}) || len(two) != len(one)+3 {
		t.Errorf("got %+v", two)
	}
}

func TestMet(t *testing.T) {
	t.Parallel()
	if met(0.8, 0.8) != "met" || met(0.81, 0.8) != "**missed**" || met(mostSlow+1, mostSlow) != "**missed**" {
		t.Error("a limit is met up to itself, and no further")
	}
	if bar, kept := judge(5, 0); bar+kept != "" {
		t.Errorf("where there is no limit it says %q, %q", bar, kept)
	}
	if bar, kept := judge(0.75, 0.7); bar != "0.7" || kept != "**missed**" {
		t.Errorf("got %q, %q", bar, kept)
	}
}

func TestAdded(t *testing.T) {
	t.Parallel()
	direct, through := way{directName, http1}, way{quashName, http1}
	a := &addition{delays: map[way][]delays{
		direct:  {{p50: 1, p99: 10}, {p50: 5, p99: 10}, {p50: 2, p99: 10}},
		through: {{p50: 4, p99: 10}, {p50: 6, p99: 10, late: mostLate + 1}, {p50: 4, p99: 10}},
	}}
	if got := a.added(through, func(d delays) time.Duration { return d.p50 }); got != 2 {
		t.Errorf("3, 1 and 2 are added, and it says %d", got)
	}
	if a.behind(direct) != 0 || a.behind(through) != 1 {
		t.Errorf("in one round calls through quash began late, and it says %d; directly %d", a.behind(through), a.behind(direct))
	}
}
