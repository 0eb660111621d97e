package main

import (
	"cmp"
	"slices"
)

// percentile returns the smallest of the values, which are in order, that so many percent
// do not exceed.
func percentile[T any](sorted []T, percent int) (value T) {
	if len(sorted) == 0 {
		return value
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// median returns the value in the middle, the lower one of two.
func median[T cmp.Ordered](values []T) T { return percentile(slices.Sorted(slices.Values(values)), 50) }

// medianOf returns the median of what of says of each.
func medianOf[S any, T cmp.Ordered](samples []S, of func(S) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return median(values)
}
