package measure

import (
	"cmp"
	"fmt"
	"slices"
)

// Percentile returns the smallest of the values that so many percent do not exceed, by
// the nearest-rank method, and the zero value if there are none.
func Percentile[T cmp.Ordered](values []T, percent int) (value T) {
	if len(values) == 0 {
		return value
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Median returns the median of a figure of each sample, the lower one of two.
func Median[S any, T cmp.Ordered](samples []S, figure func(S) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return Percentile(values, 50)
}

// Ratio is how two contenders compare: the median of the ratios of each round, and their
// range. A round that was slow for both does not change it.
type Ratio struct{ Median, Min, Max float64 }

// Compare returns the ratio of a figure. The samples are of the same rounds.
func Compare[S any](of, to []S, figure func(S) float64) Ratio {
	ratios := make([]float64, len(of))
	for round := range of {
		ratios[round] = figure(of[round]) / figure(to[round])
	}
	return Ratio{Percentile(ratios, 50), slices.Min(ratios), slices.Max(ratios)}
}

// Range is the cell of a table with the range of the rounds.
func (r Ratio) Range() string { return fmt.Sprintf("%.2f to %.2f", r.Min, r.Max) }

// Verdict says whether a figure keeps to a target, which is the most it may be.
func Verdict[T cmp.Ordered](value, target T) string {
	if value <= target {
		return "met"
	}
	return "**missed**"
}
