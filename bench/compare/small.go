package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pace is how long things are measured, and how often.
type pace struct {
	rounds  int
	lasts   time.Duration
	workers int
}

// warmUp is the load before each measurement, which does not count.
func (p pace) warmUp() time.Duration { return max(p.lasts/3, 50*time.Millisecond) }

// row is what is measured: a contender in front of an upstream.
type row struct {
	name     string
	upstream protocol // empty for one that is alone
}

func (r row) String() string {
	if r.upstream == "" {
		return r.name
	}
	return r.name + ", upstream " + string(r.upstream)
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
	contenders map[row]contender
	figures    map[row][]figures // a round each
	calls      int
}

func (s *setup) newCompetition() *competition {
	c := &competition{contenders: map[row]contender{}, figures: map[row][]figures{}}
	for _, con := range s.contenders() {
		speak := []protocol{http1, http2}
		if con.alone {
			speak = []protocol{""}
		}
		for _, p := range speak {
			r := row{con.name, p}
			c.rows = append(c.rows, r)
			c.contenders[r] = con
		}
	}
	return c
}

// compareSmall measures calls that upstream answers at once. All rows have their turn in
// each round, and each round begins with another.
func compareSmall(ctx context.Context, s *setup, p pace) (*competition, error) {
	upstreams, stop, err := s.startUpstreams(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	c := s.newCompetition()
	for round := range p.rounds {
		for i := range c.rows {
			r := c.rows[(i+round)%len(c.rows)]
			f, calls, err := c.contenders[r].measure(ctx, s, upstreams[r.upstream], p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r, err)
			}
			c.calls += calls
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
	for _, p := range []protocol{http1, http2} {
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
func (con contender) measure(ctx context.Context, s *setup, u *upstream, p pace) (f figures, calls int, err error) {
	process, err := con.start(ctx, s, u)
	if err != nil {
		return f, 0, err
	}
	defer process.stop()
	c, err := con.door.open(ctx, process.addrs, p.workers)
	if err != nil {
		return f, 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := closedLoop(ctx, c, s.tokens, p.workers, p.warmUp()); err != nil {
		return f, 0, err
	}
	before, err := process.usage()
	if err != nil {
		return f, 0, err
	}
	l, err := closedLoop(ctx, c, s.tokens, p.workers, p.lasts)
	if err != nil {
		return f, 0, err
	}
	after, err := process.usage()
	if err != nil {
		return f, 0, err
	}
	calls = len(l.latencies)
	return figures{
		cpu:  (after.cpu - before.cpu) / time.Duration(calls),
		rate: float64(calls) / l.lasted.Seconds(),
		p50:  percentile(l.latencies, 50),
		p99:  percentile(l.latencies, 99),
		peak: after.highest,
	}, calls, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
