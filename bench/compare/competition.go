package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pace is how often things are measured, and how long.
type pace struct {
	rounds int
	lasts  time.Duration
}

// brief is for what has many points, or takes long by itself.
func (p pace) brief() pace { return pace{(p.rounds + 1) / 2, p.lasts / 3} }

// warmUp is the load before each measurement, which does not count.
func (p pace) warmUp() time.Duration { return max(p.lasts/3, 50*time.Millisecond) }

// row is what is measured: a contender in front of an upstream, called by so many workers.
type row struct {
	name     string
	upstream protocol // empty for one that is alone
	workers  int
}

func (r row) String() string {
	text := fmt.Sprintf("%s, %d workers", r.name, r.workers)
	if r.upstream != "" {
		text += ", upstream " + string(r.upstream)
	}
	return text
}

// figures are those of one contender, in one round.
type figures struct {
	cpu      time.Duration // of its processes, a call
	rate     float64       // calls a second
	p50, p99 time.Duration
	peak     int64 // bytes
}

// competition is who is compared, and what came of it.
type competition struct {
	rows       []row
	contenders map[string]contender
	figures    map[row][]figures // a round each
}

// newCompetition has every contender called by each number of workers.
func newCompetition(contenders []contender, workers ...int) *competition {
	c := &competition{contenders: map[string]contender{}, figures: map[row][]figures{}}
	for _, con := range contenders {
		c.contenders[con.name] = con
		speak := protocols
		if con.alone {
			speak = []protocol{""}
		}
		for _, p := range speak {
			for _, n := range workers {
				c.rows = append(c.rows, row{con.name, p, n})
			}
		}
	}
	return c
}

// compare measures calls that upstream answers at once. All rows have their turn in each
// round, and each round begins with another.
func compare(ctx context.Context, s *setup, p pace, workers ...int) (*competition, error) {
	upstreams, stop, err := s.startUpstreams(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	c := newCompetition(s.contenders(), workers...)
	for round := range p.rounds {
		for i := range c.rows {
			r := c.rows[(i+round)%len(c.rows)]
			f, err := c.contenders[r.name].measure(ctx, s, upstreams[r.upstream], p, r.workers)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r, err)
			}
			c.figures[r] = append(c.figures[r], f)
			s.sayf("round %d of %d: %s: %.1f µs a call, %.0f calls/s", round+1, p.rounds, r, micros(f.cpu), f.rate)
		}
	}
	return c, nil
}

// startUpstreams starts one of each kind. One that is alone gets any.
func (s *setup) startUpstreams(ctx context.Context) (upstreams map[protocol]*upstream, stop func(), err error) {
	upstreams = map[protocol]*upstream{}
	stop = func() {
		for _, u := range upstreams {
			u.stop()
		}
	}
	for _, p := range protocols {
		u, err := s.startUpstream(ctx, p, 0, 0)
		if err != nil {
			stop()
			return nil, nil, err
		}
		upstreams[p] = u
	}
	upstreams[""] = upstreams[http1]
	return upstreams, stop, nil
}

// measure starts a contender, calls it, and ends it.
func (con contender) measure(ctx context.Context, s *setup, u *upstream, p pace, workers int) (f figures, err error) {
	process, err := con.start(ctx, s, u)
	if err != nil {
		return f, err
	}
	defer process.stop()
	c, err := con.door.open(ctx, process.addrs, workers)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := closedLoop(ctx, c, s.tokens, workers, p.warmUp()); err != nil {
		return f, err
	}
	before, err := process.usage()
	if err != nil {
		return f, err
	}
	l, err := closedLoop(ctx, c, s.tokens, workers, p.lasts)
	if err != nil {
		return f, err
	}
	after, err := process.usage()
	if err != nil {
		return f, err
	}
	calls := len(l.latencies)
	return figures{
		cpu:  (after.cpu - before.cpu) / time.Duration(calls),
		rate: float64(calls) / l.lasted.Seconds(),
		p50:  percentile(l.latencies, 50),
		p99:  percentile(l.latencies, 99),
		peak: after.highest,
	}, nil
}

// medians returns the median of each figure of a row.
func (c *competition) medians(r row) figures {
	rounds := c.figures[r]
	return figures{
		cpu:  medianOf(rounds, func(f figures) time.Duration { return f.cpu }),
		rate: medianOf(rounds, func(f figures) float64 { return f.rate }),
		p50:  medianOf(rounds, func(f figures) time.Duration { return f.p50 }),
		p99:  medianOf(rounds, func(f figures) time.Duration { return f.p99 }),
		peak: medianOf(rounds, func(f figures) int64 { return f.peak }),
	}
}
