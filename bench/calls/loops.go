package calls

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ClosedLoop has each worker make one call after another for a while. It returns the
// latencies of all calls, and the error of the first that failed, which ends the loop.
func ClosedLoop(ctx context.Context, workers int, lasts time.Duration, call func(ctx context.Context, worker int) error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(lasts)
	latencies := make([][]time.Duration, workers)
	var running sync.WaitGroup
	for worker := range workers {
		running.Go(func() {
			for begun := time.Now(); begun.Before(end); {
				if err := call(ctx, worker); err != nil {
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

// Result is what came of a call of an open loop.
type Result struct {
	Due  time.Duration // since the loop began
	Took time.Duration // since it was due
	Err  error
}

// OpenLoop makes n calls, so many a second, whether or not earlier ones have an answer;
// at a rate of 0 all begin at once. It returns fewer results if ctx ends.
func OpenLoop(ctx context.Context, n, rate int, call func(ctx context.Context, i int) error) []Result {
	results := make([]Result, n)
	begun := time.Now()
	var running sync.WaitGroup
	for i := range results {
		r := &results[i]
		if rate > 0 {
			r.Due = time.Duration(i) * time.Second / time.Duration(rate)
			sleepUntil(ctx, begun.Add(r.Due))
		}
		if ctx.Err() != nil {
			results = results[:i]
			break
		}
		running.Go(func() {
			r.Err = call(ctx, i)
			r.Took = time.Since(begun) - r.Due
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

// Failures counts the calls that failed, and returns the error of the first.
func Failures(results []Result) (n int, first error) {
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		if n == 0 {
			first = r.Err
		}
		n++
	}
	return n, first
}
