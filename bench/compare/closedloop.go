package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// load is what a number of calls came to.
type load struct {
	lasted    time.Duration
	latencies []time.Duration // of each call, in order of size
}

// patience is far longer than a call takes that upstream answers at once. As it is the
// deadline of calls, services have one to reckon with.
const patience = 30 * time.Second

// closedLoop has each worker make one call after another, for so long, and at least
// one. All must succeed: the first that does not ends the loop, and is its error.
func closedLoop(ctx context.Context, c caller, t *tokens, workers int, lasts time.Duration) (load, error) {
	ctx, stop := context.WithTimeout(ctx, lasts+patience)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	each := make([][]time.Duration, workers)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for before := time.Now(); ; {
				if err := c.call(ctx, worker, t.next()); err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				each[worker] = append(each[worker], now.Sub(before))
				if now.Sub(begun) >= lasts {
					return
				}
				before = now
			}
		})
	}
	running.Wait()
	l := load{lasted: time.Since(begun), latencies: slices.Concat(each...)}
	slices.Sort(l.latencies)
	return l, context.Cause(ctx)
}
