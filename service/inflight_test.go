package service

import "testing"

// A retry may be made while few are, or while they are a small part of all that is in
// progress.
func TestRetriesAreBudgeted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		calls, retries int
		want           bool
	}{
		{"the first", 1, 0, true},
		{"as many as there are calls, below the floor", retryFloor - 1, retryFloor - 1, true},
		{"at the floor", retryFloor, retryFloor, false},
		{"at the share", 400, 100, true},
		{"above the share", 400, 101, false},
	} {
		f := newInFlight(DefaultMaxInFlight)
		for range tt.calls {
			if _, ok := f.acquire(&revocation{}); !ok {
				t.Fatalf("%s: a revocation is refused", tt.name)
			}
		}
		f.retries = tt.retries
		if got := f.acquireRetry(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
		if tt.want {
			f.releaseRetry()
		}
		if f.retries != tt.retries {
			t.Errorf("%s: %d retries afterwards, want %d", tt.name, f.retries, tt.retries)
		}
	}
}
