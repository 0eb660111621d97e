package main

import (
	"slices"
	"time"
)

// bar is how much processor time a call of one row may take, compared with another's.
type bar struct {
	of, to string
	most   float64 // what it must keep, or 0
	aim    float64 // what it should, or 0
}

// bars are those of the rows that a quash has.
func bars(quash string) []bar {
	return []bar{
		{of: quash, to: textbookName, most: 1, aim: 0.7},
		{of: nativeOf(quash), to: proxyName, most: 0.8},
		{of: dropInOf(quash), to: proxyName, most: 0.8},
		{of: nativeOf(quash), to: nginxName, aim: 2},
		{of: dropInOf(quash), to: nginxName, aim: 2},
	}
}

// changes compares one quash with another. There is no bar: who looks will know.
func changes(from, to string) []bar {
	return []bar{{of: to, to: from}, {of: nativeOf(to), to: nativeOf(from)}, {of: dropInOf(to), to: dropInOf(from)}}
}

// ratio is what the rounds say of two rows: each compares what it measured itself, and
// the one in the middle counts.
func (c *competition) ratio(of, to row) (middle, least, most float64) {
	ratios := make([]float64, len(c.figures[of]))
	for round, f := range c.figures[of] {
		ratios[round] = float64(f.cpu) / float64(c.figures[to][round].cpu)
	}
	return median(ratios), slices.Min(ratios), slices.Max(ratios)
}

// met says whether a measure keeps to a limit.
func met[T float64 | time.Duration | int64](value, limit T) string {
	if value <= limit {
		return "met"
	}
	return "**missed**"
}
