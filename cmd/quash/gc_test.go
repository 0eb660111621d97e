package main

import "testing"

func TestGrowth(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		kept uint64
		want int
	}{
		{0, 400},      // before the first collection
		{1 * mb, 400}, // the maximum: the heap may have grown since the last collection
		{6 * mb, 300}, // grows by 18 MB
		{7 * mb, 225}, // rounded to a step
		{12 * mb, 100},
		{24 * mb, 100}, // Go's default from here on
		{1 << 40, 100},
	} {
		if got := growth(tt.kept); got != tt.want {
			t.Errorf("with %d bytes kept the heap may grow by %d %%, want %d %%", tt.kept, got, tt.want)
		}
	}
}
