package main

import "testing"

func TestGrowth(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		kept uint64
		want int
	}{
		{0, 400},      // nothing is known yet
		{1 * mb, 400}, // no further than that: what is kept may be more by now
		{6 * mb, 300}, // 18 more
		{7 * mb, 225}, // in steps
		{12 * mb, 100},
		{24 * mb, 100}, // Go's own, from here on
		{1 << 40, 100},
	} {
		if got := growth(tt.kept); got != tt.want {
			t.Errorf("with %d bytes kept the heap may grow by %d %%, want %d %%", tt.kept, got, tt.want)
		}
	}
}
