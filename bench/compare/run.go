package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// curveWorkers are the numbers of calls under way at a time that a curve has points for.
var curveWorkers = []int{1, 4, 16, 64, 256}

// parts are what a run consists of. Each measures something, and puts it into the report.
var parts = []struct {
	name    string
	measure func(ctx context.Context, s *setup, o options, r *report) error
}{
	{"small", func(ctx context.Context, s *setup, o options, r *report) (err error) {
		r.small, err = compare(ctx, s, o.pace, smallWorkers)
		return err
	}},
	{"curve", func(ctx context.Context, s *setup, o options, r *report) (err error) {
		r.curve, err = compare(ctx, s, o.pace.brief(), curveWorkers...)
		return err
	}},
	{"flight", func(ctx context.Context, s *setup, o options, r *report) (err error) {
		r.waiting, err = measureWaiting(ctx, s, s.flights(), o.hold, o.pace.brief().rounds)
		return err
	}},
	{"open", func(ctx context.Context, s *setup, o options, r *report) (err error) {
		r.added, err = measureAdded(ctx, s, o.pace)
		return err
	}},
	{"start", func(ctx context.Context, s *setup, _ options, r *report) (err error) {
		r.ready, err = measureReady(ctx, s, startUps)
		return err
	}},
}

// run measures what is asked for, and writes the report. Nothing that it starts or keeps
// in temporary files outlives it.
func (o options) run(ctx context.Context, w io.Writer) (err error) {
	s, err := newSetup(ctx, o.builds, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r := &report{pace: o.pace, builds: o.builds}
	if r.machine, err = s.describeMachine(ctx); err != nil {
		return err
	}
	for _, p := range parts {
		if o.only != "" && o.only != p.name {
			continue
		}
		if err := p.measure(ctx, s, o, r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	r.spans = s.collector.spans.Load()
	return r.write(o, w)
}
