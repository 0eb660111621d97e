package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// arrivals is what calls came to that began at fixed times.
type arrivals struct {
	latencies []time.Duration // of each call from when it was due, in order of size
	late      []time.Duration // how long after that each began, likewise
}

// openRate is how many calls a second begin.
const openRate = 1000

// openLoop begins so many calls a second, whether or not earlier ones have come back:
// nobody waits for a service that is slow. All must succeed.
func openLoop(ctx context.Context, c caller, t *tokens, lasts time.Duration) (arrivals, error) {
	ctx, stop := context.WithTimeout(ctx, lasts+patience)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := int(lasts.Seconds() * openRate)
	a := arrivals{make([]time.Duration, n), make([]time.Duration, n)}
	begun := time.Now()
	var running sync.WaitGroup
	for i := range n {
		due := begun.Add(time.Duration(i) * time.Second / openRate)
		if ctx.Err() != nil {
			break
		}
		sleep(time.Until(due))
		running.Go(func() {
			a.late[i] = time.Since(due)
			if err := c.call(ctx, i, t.next()); err != nil {
				cancel(err)
			}
			a.latencies[i] = time.Since(due)
		})
	}
	running.Wait()
	slices.Sort(a.latencies)
	slices.Sort(a.late)
	return a, context.Cause(ctx)
}

// sleep sleeps, and wakes within some 0.1 ms: time.Sleep may take a whole one longer.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	left := unix.NsecToTimespec(d.Nanoseconds())
	for {
		if err := unix.Nanosleep(&left, &left); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
