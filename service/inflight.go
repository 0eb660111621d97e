package service

import (
	"sync"
	"time"
)

// inFlight limits the revocations in progress, and the retries among their attempts.
// Revocations that go on after their callers have left are in progress, too.
type inFlight struct {
	limit int

	mu          sync.Mutex
	revocations map[*revocation]struct{}
	retries     int // at most one for each revocation
	draining    bool
	drained     chan struct{} // closed once draining and none are left
}

func newInFlight(limit int) *inFlight {
	return &inFlight{limit: limit, revocations: map[*revocation]struct{}{}, drained: make(chan struct{})}
}

// acquire counts one more revocation, or returns why there is no room for it.
func (f *inFlight) acquire(r *revocation) (refused outcome, ok bool) {
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

// acquireRetry counts one more attempt that is not a revocation's first, unless the
// budget for them is spent. All calls share it.
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

// drain admits no more revocations.
func (f *inFlight) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	f.closeIfDrained()
}

// closeIfDrained closes drained when it is time to. The caller holds f.mu.
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

// cancel ends the revocations in progress soon, and returns how many there are.
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

// background is how many revocations go on without their callers, and when the oldest of
// them began.
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
