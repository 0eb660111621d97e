package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// direct calls the upstream itself, as a Go program does.
type direct struct {
	transport *http.Transport
	url       string
}

func (s *setup) openDirect(u *upstream) (caller, error) {
	transport, err := childConfig{ca: s.certFile}.newTransport()
	return &direct{transport, u.url + dropInPath}, err
}

func (d *direct) call(ctx context.Context, _ int, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader([]byte(`{"token":"`+token+`"}`)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// Close closes the connections.
func (d *direct) Close() error {
	d.transport.CloseIdleConnections()
	return nil
}

// way is how a call gets to an upstream: by itself, or through a quash.
type way struct {
	name     string
	upstream protocol
}

const directName = "direct, net/http"

// delays are those of one way, in one round.
type delays struct {
	p50, p99 time.Duration
	late     time.Duration // 99 of 100 calls began at most so long after they were due
}

// addition is what the calls that begin at fixed times took.
type addition struct {
	ways   []way
	delays map[way][]delays // a round each
}

// measureAdded compares calls through quash with calls to the upstream itself.
func measureAdded(ctx context.Context, s *setup, p pace) (*addition, error) {
	upstreams, stop, err := s.startUpstreams(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	a := &addition{delays: map[way][]delays{}}
	for _, speaks := range protocols {
		a.ways = append(a.ways, way{directName, speaks})
		for _, b := range s.quash {
			a.ways = append(a.ways, way{b.name, speaks})
		}
	}
	for round := range p.rounds {
		for i := range a.ways {
			w := a.ways[(i+round)%len(a.ways)]
			d, err := s.measureWay(ctx, w, upstreams[w.upstream], p)
			if err != nil {
				return nil, fmt.Errorf("%s, upstream %s: %w", w.name, w.upstream, err)
			}
			a.delays[w] = append(a.delays[w], d)
			s.sayf("round %d of %d: %d calls/s, %s, upstream %s: p50 %s, p99 %s", round+1, p.rounds, openRate, w.name, w.upstream, d.p50, d.p99)
		}
	}
	return a, nil
}

func (s *setup) measureWay(ctx context.Context, w way, u *upstream, p pace) (d delays, err error) {
	c, stop, err := s.openWay(ctx, w, u)
	if err != nil {
		return d, err
	}
	defer stop()
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := openLoop(ctx, c, s.tokens, p.warmUp()); err != nil {
		return d, err
	}
	a, err := openLoop(ctx, c, s.tokens, p.lasts)
	return delays{percentile(a.latencies, 50), percentile(a.latencies, 99), percentile(a.late, 99)}, err
}

// openWay starts what a way needs. stop ends that.
func (s *setup) openWay(ctx context.Context, w way, u *upstream) (c caller, stop func(), err error) {
	b, through := s.build(w.name)
	if !through {
		c, err = s.openDirect(u)
		return c, func() {}, err
	}
	q, err := s.startQuash(ctx, b, u)
	if err != nil {
		return nil, nil, err
	}
	if c, err = openGRPC(ctx, q.addrs, channels); err != nil {
		q.stop()
	}
	return c, q.stop, err
}

// added returns what a quash adds to calling the upstream itself: that of each round, and
// of those the one in the middle.
func (a *addition) added(w way, of func(delays) time.Duration) time.Duration {
	differences := make([]time.Duration, len(a.delays[w]))
	for round, d := range a.delays[w] {
		differences[round] = of(d) - of(a.delays[way{directName, w.upstream}][round])
	}
	return median(differences)
}

// mostLate is how late calls may begin for the load to have been what it should be.
const mostLate = time.Millisecond

// behind returns in how many rounds the calls of a way began later than that.
func (a *addition) behind(w way) (rounds int) {
	for _, d := range a.delays[w] {
		if d.late > mostLate {
			rounds++
		}
	}
	return rounds
}
