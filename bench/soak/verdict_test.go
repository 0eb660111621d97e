package main

import (
	"math"
	"testing"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		heap    []float64 // MiB at the quiet times
		growth  float64
		tooMuch bool
	}{
		{"flat", []float64{3, 3, 3, 3, 3, 3, 3}, 0, false},
		{"noise", []float64{3, 3.1, 2.9, 3.2, 3, 3.1, 3.1}, 0.1, false},
		{"a leak", []float64{3, 3.3, 3.6, 3.9, 4.2, 4.5, 4.5}, 1.5, true},
		{"a slow leak", []float64{3, 3.1, 3.2, 3.3, 3.4, 3.5, 3.5}, 0.5, false},
		{"a bad moment first", []float64{9, 3, 3, 3, 3, 3, 3}, 0, false},
		{"a bad moment first does not hide a leak", []float64{9, 3.3, 3.6, 3.9, 4.2, 4.5, 4.5}, 1.2, true},
		{"a bad moment last", []float64{3, 3, 3, 3, 3, 9, 3}, 0, false},
		{"a bad moment at the very end", []float64{3, 3, 3, 3, 3, 3, 9}, 0, false},
		{"a leak of the last cycle only", []float64{3, 3, 3, 3, 3, 5, 5}, 2, true},
		{"a leak that happened once", []float64{3, 3, 5, 5, 5, 5, 5}, 2, true},
		{"less", []float64{5, 5, 4, 4, 3, 3, 3}, -2, false},
		{"too little to compare", []float64{3, 9}, 0, false},
		{"a single one", []float64{3}, 0, false},
		{"nothing to compare", nil, 0, false},
	} {
		var samples []sample
		for i, heap := range tc.heap {
			samples = append(samples, sample{heap: int64(heap * mebibyte), calls: int64(1000 * i)})
		}
		m := &measure{allowed: 0.5, of: func(s sample) float64 { return float64(s.heap) / mebibyte }}
		got := verdictOn(m, samples)
		if math.Abs(got.to-got.from-tc.growth) > 1e-5 || got.tooMuch() != tc.tooMuch {
			t.Errorf("%s: from %g to %g, too much: %t", tc.name, got.from, got.to, got.tooMuch())
		}
		if n := len(tc.heap); n > 2 && math.Abs(got.perThousand-tc.growth/float64(n-1)) > 1e-5 {
			t.Errorf("%s: %g for 1000 calls", tc.name, got.perThousand)
		}
	}
}

func TestVerdictOnWhatIsNotJudged(t *testing.T) {
	t.Parallel()
	m := &measure{of: func(s sample) float64 { return float64(s.rss) }}
	if verdictOn(m, []sample{{rss: 1}, {rss: 1}, {rss: 99}, {rss: 99}}).tooMuch() {
		t.Error("it is judged")
	}
}
