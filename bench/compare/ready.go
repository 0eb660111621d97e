package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// readiness is how long a quash takes to be ready, and how large it is.
type readiness struct {
	name  string
	took  []time.Duration
	bytes int64
}

// startUps is how often each is started.
const startUps = 20

// measureReady starts every quash so often, one after the other.
func measureReady(ctx context.Context, s *setup, times int) ([]readiness, error) {
	u, err := s.startUpstream(ctx, http1, 0, 0)
	if err != nil {
		return nil, err
	}
	defer u.stop()
	all := make([]readiness, len(s.quash))
	for i, b := range s.quash {
		file, err := os.Stat(b.path)
		if err != nil {
			return nil, err
		}
		all[i] = readiness{name: b.name, bytes: file.Size()}
	}
	for range times {
		for i, b := range s.quash {
			took, err := s.timeReady(ctx, b, u)
			if err != nil {
				return nil, fmt.Errorf("start %s: %w", b.name, err)
			}
			all[i].took = append(all[i].took, took)
		}
	}
	for _, r := range all {
		s.sayf("%s is ready after %s", r.name, median(r.took))
	}
	return all, nil
}

// timeReady measures from before the process exists until its probe of readiness answers
// 200. When to ask it, it says itself: with that it need not be asked over and over.
func (s *setup) timeReady(ctx context.Context, b build, u *upstream) (time.Duration, error) {
	begun := time.Now()
	q, err := s.startQuash(ctx, b, u)
	if err != nil {
		return 0, err
	}
	defer q.stop()
	_, err = get(ctx, "http://"+q.Admin+"/readyz")
	return time.Since(begun), err
}
