package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// shortest is a pace at which a test is over soon.
var shortest = pace{2, 20 * time.Millisecond}

// Every contender does its work in front of both upstreams, in a process of its own.
func TestCompare(t *testing.T) {
	t.Parallel()
	s := newQuashSetup(t)
	c, err := compare(t.Context(), s, shortest, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := 2 * (1 + 2*(1+1+3*2)) // numbers of workers, and of upstreams for all but one
	if s.nginx != "" {
		want += 2 * 2
	}
	if len(c.rows) != want {
		t.Errorf("there are %d rows, want %d", len(c.rows), want)
	}
	for _, r := range c.rows {
		f := c.figures[r]
		if len(f) != shortest.rounds {
			t.Errorf("%s has %d rounds, want %d", r, len(f), shortest.rounds)
		}
		if m := c.medians(r); m.rate <= 0 || m.p50 <= 0 || m.p99 < m.p50 || m.peak < 1<<20 {
			t.Errorf("%s: %+v", r, m)
		}
	}
}

// A contender that does not do its work is not measured.
func TestMeasureFails(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	u, err := s.startUpstream(t.Context(), http1, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer u.stop()
	wrong := contender{name: "the upstream itself", door: doorNative, start: func(ctx context.Context, s *setup, _ *upstream) (*process, error) {
		return start(ctx, s.child("upstream"))
	}}
	if _, err := wrong.measure(t.Context(), s, u, shortest, 1); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
}

func TestMeasureAdded(t *testing.T) {
	t.Parallel()
	a, err := measureAdded(t.Context(), newQuashSetup(t), shortest)
	if err != nil {
		t.Fatal(err)
	}
	if want := []way{
		{directName, http1},
		{quashName, http1},
		{baselineName, http1},
		{directName, http2},
		{quashName, http2},
		{baselineName, http2},
	}; !slices.Equal(a.ways, want) {
		t.Errorf("the ways are %v", a.ways)
	}
	for _, w := range a.ways {
		for _, d := range a.delays[w] {
			if d.p50 <= 0 || d.p99 < d.p50 || d.late < 0 {
				t.Errorf("%v: %+v", w, d)
			}
		}
		if len(a.delays[w]) != shortest.rounds {
			t.Errorf("%v has %d rounds", w, len(a.delays[w]))
		}
	}
}

// Calls wait at the upstream and all come back.
func TestMeasureWaiting(t *testing.T) {
	t.Parallel()
	flights := []flight{{quashName, 30, goStreams}, {textbookName, 30, goStreams}}
	const hold = 100 * time.Millisecond
	w, err := measureWaiting(t.Context(), newQuashSetup(t), flights, hold, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flights {
		l := w.landings[f][0]
		if l.failed != 0 || l.slowest <= 0 || l.rest <= 0 || l.peak < l.rest || l.connections < 1 {
			t.Errorf("%s: %+v", f.name, l)
		}
	}
}

func TestFlights(t *testing.T) {
	t.Parallel()
	s := &setup{quash: []build{{name: quashName}, {name: baselineName}}}
	all := s.flights()
	for _, f := range []flight{{quashName, 20_000, goStreams}, {baselineName, 10_000, 100}, {textbookName, 10_000, goStreams}} {
		if !slices.Contains(all, f) {
			t.Errorf("%+v is missing", f)
		}
	}
}

func TestMeasureReady(t *testing.T) {
	t.Parallel()
	all, err := measureReady(t.Context(), newQuashSetup(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if len(r.took) != 2 || median(r.took) <= 0 || r.bytes < 1<<20 {
			t.Errorf("%+v", r)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d quashes are measured, want 2", len(all))
	}
}

func TestDescribeMachine(t *testing.T) {
	t.Parallel()
	m, err := newQuashSetup(t).describeMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.cpu == "" || m.cores < 1 || m.kernel == "" || len(m.quash) != 2 || m.nginx == "" || m.when.IsZero() {
		t.Errorf("got %+v", m)
	}
	if got := cpuModel([]byte("processor\t: 0\nmodel name\t: Fast One\nmodel name\t: other\n")); got != "Fast One" {
		t.Errorf("got %q", got)
	}
	if got := cpuModel(nil); got == "" {
		t.Error("a processor without a name has none")
	}
}
