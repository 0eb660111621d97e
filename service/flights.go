package service

import (
	"context"
	"sync"
)

// flights counts the revocations in progress, those whose caller has gone
// included, and the repetitions among their attempts.
type flights struct {
	limit int

	mu       sync.Mutex
	n        int
	repeats  int // at most one for each of n
	draining bool
	landed   chan struct{} // closed once draining and none are left
}

func newFlights(limit int) *flights {
	return &flights{limit: limit, landed: make(chan struct{})}
}

// begin counts one more in, or returns the row that says why not.
func (f *flights) begin() (refused situation, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.draining:
		return shuttingDown, false
	case f.n >= f.limit:
		return overloaded, false
	}
	f.n++
	return 0, true
}

func (f *flights) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n--
	f.land()
}

// repeat counts in one more attempt that is not a revocation's first, unless the budget
// for them is spent. It is one for all calls.
func (f *flights) repeat() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.repeats >= retryFloor && float64(f.repeats) > retryShare*float64(f.n+f.repeats) {
		return false
	}
	f.repeats++
	return true
}

// repeated counts out an attempt that repeat has counted in.
func (f *flights) repeated() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeats--
}

// drain lets no more begin.
func (f *flights) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	f.land()
}

// land closes landed when it is time to. The caller holds f.mu.
func (f *flights) land() {
	if !f.draining || f.n > 0 {
		return
	}
	select {
	case <-f.landed:
	default:
		close(f.landed)
	}
}

// wait returns when none are left after drain, or with ctx's error.
func (f *flights) wait(ctx context.Context) error {
	select {
	case <-f.landed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}
