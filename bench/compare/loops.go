package compare

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// patience is the deadline of calls: far longer than any takes that the upstream answers
// at once, and one that services have to reckon with.
const patience = 30 * time.Second

// closedLoop has each worker make one call after another. It returns the latencies of all
// calls, and the error of the first that failed, which ends the loop.
func closedLoop(ctx context.Context, c caller, t *tokens, workers int, lasts time.Duration) ([]time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, lasts+patience)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(lasts)
	latencies := make([][]time.Duration, workers)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for begun := time.Now(); begun.Before(end); {
				if err := c.call(ctx, worker, t.next()); err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				latencies[worker] = append(latencies[worker], now.Sub(begun))
				begun = now
			}
		})
	}
	running.Wait()
	return slices.Concat(latencies...), context.Cause(ctx)
}

// result is what came of a call of an open loop.
type result struct {
	due  time.Duration // since the loop began
	took time.Duration // since it was due
	err  error
}

// openLoop makes n calls, so many a second, whether or not earlier ones have an answer;
// at a rate of 0 all begin at once.
func openLoop(ctx context.Context, c caller, t *tokens, n, rate int, deadline time.Duration) []result {
	results := make([]result, n)
	begun := time.Now()
	var running sync.WaitGroup
	for i := range results {
		r := &results[i]
		if rate > 0 {
			r.due = time.Duration(i) * time.Second / time.Duration(rate)
			sleepUntil(ctx, begun.Add(r.due))
		}
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			r.err = c.call(ctx, i, t.next())
			r.took = time.Since(begun) - r.due
		})
	}
	running.Wait()
	return results
}

// sleepUntil wakes within some 0.1 ms of a time; time.Sleep may take 1 ms longer.
func sleepUntil(ctx context.Context, at time.Time) {
	for left := time.Until(at); left > 0 && ctx.Err() == nil; left = time.Until(at) {
		interval := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&interval, nil) // after a signal, the loop sleeps on
	}
}

// failures counts the calls that failed, and returns the error of the first.
func failures(results []result) (n int, first error) {
	for _, r := range results {
		if r.err == nil {
			continue
		}
		if n == 0 {
			first = r.err
		}
		n++
	}
	return n, first
}

// outage is from when the first call began that failed, to when the last one did: 0 if
// one failed at most. ended is false if the calls still failed at the end of the run.
func outage(results []result) (lasted time.Duration, ended bool) {
	var from, to time.Duration
	failed := false
	for _, r := range results {
		if r.err == nil {
			continue
		}
		if !failed {
			from, failed = r.due, true
		}
		to = r.due
	}
	return to - from, len(results) > 0 && results[len(results)-1].err == nil
}
