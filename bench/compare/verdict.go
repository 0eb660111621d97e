package main

import (
	"slices"
	"time"
)

// The bars of what is no ratio.
const (
	mostPeak    int64 = 350e6 // bytes, with quashTakes calls in flight
	mostPerCall int64 = 35e3  // bytes
	mostSlow          = 2500 * time.Millisecond
	mostAdded50       = 300 * time.Microsecond
	mostAdded99       = 2 * time.Millisecond
	mostReady         = 100 * time.Millisecond
	mostBytes   int64 = 35e6
)

// bar is how much processor time a call of one row may take, compared with another's.
type bar struct {
	of, to string
	on     protocol // of the upstream; empty for each
	most   float64  // what it must keep, or 0
	aim    float64  // what it should, or 0
}

// bars are those of the rows that a quash has.
func bars(quash string) []bar {
	return []bar{
		{of: quash, to: textbookName, on: http1, most: 1.35, aim: 1.1},
		{of: quash, to: textbookName, on: http2, most: 1.2, aim: 1.1},
		{of: nativeOf(quash), to: proxyName, most: 1.05, aim: 0.9},
		{of: dropInOf(quash), to: proxyName, most: 1.05, aim: 0.9},
		{of: nativeOf(quash), to: nginxName},
		{of: dropInOf(quash), to: nginxName},
	}
}

// allBars are those of the first of the builds, which the others are compared with. For
// that there is no bar: who looks will know.
func allBars(builds []build) []bar {
	this := builds[0].name
	all := bars(this)
	for _, b := range builds[1:] {
		all = append(all,
			bar{of: this, to: b.name},
			bar{of: nativeOf(this), to: nativeOf(b.name)},
			bar{of: dropInOf(this), to: dropInOf(b.name)})
	}
	return all
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
