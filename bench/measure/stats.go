package measure

import (
	"cmp"
	"fmt"
	"slices"
)

// Percentile returns a percentile of the values by the nearest-rank method, or the zero value if
// there are no values.
func Percentile[T cmp.Ordered](values []T, percent int) (value T) {
	if len(values) == 0 {
		return value
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Median returns the median of a figure over all samples. For an even number of samples it is
// the lower of the two in the middle.
func Median[S any, T cmp.Ordered](samples []S, figure func(S) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return Percentile(values, 50)
}

// Ratio compares two contenders: the median and the range of the ratios of the rounds. A round
// that is slow for both does not distort it.
type Ratio struct{ Median, Min, Max float64 }

// Compare returns the ratio of a figure. Samples with the same index are from the same round.
func Compare[S any](of, to []S, figure func(S) float64) Ratio {
	ratios := make([]float64, len(of))
	for round := range of {
		ratios[round] = figure(of[round]) / figure(to[round])
	}
	return Ratio{Percentile(ratios, 50), slices.Min(ratios), slices.Max(ratios)}
}

// Range returns the range of the rounds as a table cell.
func (r Ratio) Range() string { return fmt.Sprintf("%.2f to %.2f", r.Min, r.Max) }

// Verdict reports whether a figure meets its target, a maximum.
func Verdict[T cmp.Ordered](value, target T) string {
	if value <= target {
		return "met"
	}
	return "**missed**"
}
