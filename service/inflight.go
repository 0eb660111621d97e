package service

import (
	"sync"
	"time"
)

// inFlight limits the revocations in flight, and the retries among their attempts. A
// revocation that continues in the background, after its caller was answered, is in flight.
type inFlight struct {
	limit int

	mu          sync.Mutex
	revocations map[*revocation]struct{}
	retries     int // at most one per revocation
	draining    bool
	drained     chan struct{} // closed when draining and no revocation is left
}

func newInFlight(limit int) *inFlight {
	return &inFlight{limit: limit, revocations: map[*revocation]struct{}{}, drained: make(chan struct{})}
}

// acquire adds a revocation, or reports false with the outcome to reject it with.
func (f *inFlight) acquire(r *revocation) (rejected outcome, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.draining:
		return shuttingDown, false
	case len(f.revocations) >= f.limit:
		return overloaded, false
	}
	f.revocations[r] = struct{}{}
	return 0, true
}

func (f *inFlight) release(r *revocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.revocations, r)
	f.closeIfDrained()
}

// acquireRetry adds a retry, and reports false if the retry budget, which all calls share,
// is spent.
func (f *inFlight) acquireRetry() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.retries >= retryFloor && float64(f.retries) > retryShare*float64(len(f.revocations)+f.retries) {
		return false
	}
	f.retries++
	return true
}

func (f *inFlight) releaseRetry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retries--
}

// drain makes acquire reject every further revocation.
func (f *inFlight) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	f.closeIfDrained()
}

// closeIfDrained closes drained if no revocation is left. The caller holds f.mu.
func (f *inFlight) closeIfDrained() {
	if !f.draining || len(f.revocations) > 0 {
		return
	}
	select {
	case <-f.drained:
	default:
		close(f.drained)
	}
}

// cancel cancels the revocations in flight, and returns their number.
func (f *inFlight) cancel(cause error) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.revocations {
		r.cancel(cause)
	}
	return len(f.revocations)
}

func (f *inFlight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.revocations)
}

// background returns the number of revocations that continue in the background, and when
// the oldest of them began.
func (f *inFlight) background() (n int, oldest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.revocations {
		if !r.inBackground() {
			continue
		}
		n++
		if oldest.IsZero() || r.begun.Before(oldest) {
			oldest = r.begun
		}
	}
	return n, oldest
}
