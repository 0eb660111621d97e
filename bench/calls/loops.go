package calls

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ClosedLoop runs workers that each make one call after another. It returns the latencies of
// all calls. The first failed call ends the loop, and ClosedLoop returns its error.
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

// Result is the result of a call in an open loop.
type Result struct {
	Due  time.Duration // since the loop began
	Took time.Duration // since it was due
	Err  error
}

// OpenLoop starts n calls at a rate per second, without waiting for the answers of earlier
// calls. With a rate of 0 it starts all at once. It returns fewer results if ctx is cancelled.
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

// sleepUntil sleeps until a time, with an error of about 0.1 ms; time.Sleep may be 1 ms late.
func sleepUntil(ctx context.Context, at time.Time) {
	for left := time.Until(at); left > 0 && ctx.Err() == nil; left = time.Until(at) {
		interval := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&interval, nil) // a signal ends it early; the loop continues
	}
}

// Failures returns the number of failed calls and the error of the first.
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
