package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

const (
	// callsPerChannel is well below how many calls quash takes on a connection.
	callsPerChannel = 500
	// goStreams is how many requests a Go server takes at a time on a connection.
	goStreams = 250
	// quashTakes is how many calls quash takes at once unless it is told otherwise.
	quashTakes = 10_000
	// mostArriving is how many requests it takes at once that are on their way in, if it is
	// told to.
	mostArriving = "10000"
	// callersPatience is how long callers wait for an answer.
	callersPatience = time.Minute
)

// flight is a number of calls that begin at once and wait at the upstream, which takes so
// many on a connection.
type flight struct {
	name           string
	calls, streams int
}

// flights are all that are measured.
func (s *setup) flights() (all []flight) {
	for _, b := range s.quash {
		for _, n := range []int{1_000, 5_000, 10_000, 20_000} {
			all = append(all, flight{b.name, n, goStreams})
		}
		all = append(all, flight{b.name, 10_000, 100})
	}
	return append(all, flight{textbookName, 1_000, goStreams}, flight{textbookName, 10_000, goStreams})
}

// landing is what came of one, in one round.
type landing struct {
	failed      int64
	complaint   string        // of one that failed
	slowest     time.Duration // beyond the upstream's own time
	rest, peak  int64         // bytes
	connections int64         // that the upstream saw
}

// perCall is how many bytes each call takes.
func (l landing) perCall(f flight) int64 { return (l.peak - l.rest) / int64(f.calls) }

// waiting is what came of all.
type waiting struct {
	hold     time.Duration
	flights  []flight
	landings map[flight][]landing // a round each
}

// measureWaiting has calls wait for so long at an upstream with HTTP/2, each flight
// through a process of its own.
func measureWaiting(ctx context.Context, s *setup, flights []flight, hold time.Duration, rounds int) (*waiting, error) {
	w := &waiting{hold, flights, map[flight][]landing{}}
	for round := range rounds {
		for i := range flights {
			f := flights[(i+round)%len(flights)]
			l, err := s.fly(ctx, f, hold)
			if err != nil {
				return nil, fmt.Errorf("%d calls through %s: %w", f.calls, f.name, err)
			}
			w.landings[f] = append(w.landings[f], l)
			s.sayf("round %d of %d: %s, %d calls wait, %d a connection: %d failed, the slowest %s late, %s MB",
				round+1, rounds, f.name, f.calls, f.streams, l.failed, l.slowest, megabytes(l.peak))
		}
	}
	return w, nil
}

func (s *setup) fly(ctx context.Context, f flight, hold time.Duration) (l landing, err error) {
	u, err := s.startUpstream(ctx, http2, hold, f.streams)
	if err != nil {
		return l, err
	}
	defer u.stop()
	p, err := s.startFlyer(ctx, f, u)
	if err != nil {
		return l, err
	}
	defer p.stop()
	rest, err := p.usage()
	if err != nil {
		return l, err
	}
	c, err := dialGRPC(p.addrs, (f.calls+callsPerChannel-1)/callsPerChannel, func(token string) *quashv1.RevokeRequest {
		return &quashv1.RevokeRequest{
			Token:       token,
			Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
			Timeout:     durationpb.New(service.MaxTimeout),
		}
	})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	l = callAtOnce(ctx, c, s.tokens, f.calls)
	if err := ctx.Err(); err != nil {
		return l, err
	}
	l.slowest -= hold
	after, err := p.usage()
	if err != nil {
		return l, err
	}
	seen, err := u.counts(ctx)
	l.rest, l.peak, l.connections = rest.resident, after.highest, seen.Connections
	return l, err
}

// startFlyer starts who the calls go through.
func (s *setup) startFlyer(ctx context.Context, f flight, u *upstream) (*process, error) {
	if b, ok := s.build(f.name); ok {
		var flags []string
		if f.calls > quashTakes {
			flags = []string{"--max-in-flight", strconv.Itoa(f.calls), "--max-arriving", mostArriving}
		}
		return s.startQuash(ctx, b, u, flags...)
	}
	return startChild("textbook")(ctx, s, u)
}

// callAtOnce begins n calls as fast as it can, and returns once all have an answer.
func callAtOnce(ctx context.Context, c caller, t *tokens, n int) (l landing) {
	ctx, cancel := context.WithTimeout(ctx, callersPatience)
	defer cancel()
	var (
		mu      sync.Mutex
		running sync.WaitGroup
	)
	begun := time.Now()
	for i := range n {
		running.Go(func() {
			err := c.call(ctx, i, t.next())
			took := time.Since(begun)
			mu.Lock()
			defer mu.Unlock()
			l.slowest = max(l.slowest, took)
			if err != nil {
				l.failed++
				l.complaint = err.Error()
			}
		})
	}
	running.Wait()
	return l
}
