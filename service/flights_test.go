package service

import "testing"

// A repetition may be made while few are, or while they are a small part of all that is
// in progress.
func TestRepetitionsAreBudgeted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		calls, repeats int
		want           bool
	}{
		{"the first", 1, 0, true},
		{"as many as there are calls, below the floor", retryFloor - 1, retryFloor - 1, true},
		{"at the floor", retryFloor, retryFloor, false},
		{"at the share", 400, 100, true},
		{"above the share", 400, 101, false},
	} {
		f := newFlights(DefaultMaxInFlight)
		f.n, f.repeats = tt.calls, tt.repeats
		if got := f.repeat(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
		if tt.want {
			f.repeated()
		}
		if f.repeats != tt.repeats {
			t.Errorf("%s: %d repetitions afterwards, want %d", tt.name, f.repeats, tt.repeats)
		}
	}
}
