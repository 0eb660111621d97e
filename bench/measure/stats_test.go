package measure_test

import (
	"testing"

	"github.com/quashdev/quash/bench/measure"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, tt := range []struct {
		values        []int
		percent, want int
	}{
		{nil, 50, 0},
		{[]int{7}, 99, 7},
		{[]int{2, 1}, 50, 1},
		{[]int{9, 1, 5}, 50, 5},
		{[]int{9, 1, 5}, 99, 9},
		{[]int{9, 1, 5}, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
	} {
		if got := measure.Percentile(tt.values, tt.percent); got != tt.want {
			t.Errorf("percentile %d of %v is %d, want %d", tt.percent, tt.values, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if got := measure.Median([]string{"ccc", "a", "bb"}, func(s string) int { return len(s) }); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}

// Compare uses the ratio of each round, so a round that is slow for both changes nothing.
func TestCompare(t *testing.T) {
	t.Parallel()
	of, to := []float64{10, 20, 90}, []float64{10, 40, 30}
	want := measure.Ratio{Median: 1, Min: 0.5, Max: 3}
	if got := measure.Compare(of, to, func(f float64) float64 { return f }); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	if at, above := measure.Verdict(0.8, 0.8), measure.Verdict(0.81, 0.8); at != "met" || above != "**missed**" {
		t.Errorf("at the target %s, above it %s", at, above)
	}
}
