package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// table is one of Markdown.
type table struct {
	b strings.Builder
}

// newTable begins one. The first column is text, the others are numbers.
func newTable(columns ...string) *table {
	t := &table{}
	t.add(columns...)
	t.b.WriteString("| --- |" + strings.Repeat(" ---: |", len(columns)-1) + "\n")
	return t
}

func (t *table) add(cells ...string) {
	t.b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (t *table) String() string { return t.b.String() }

// Memory is told in units of 10^6 and 10^3 bytes.
func megabytes(bytes int64) string { return fmt.Sprintf("%.0f", float64(bytes)/1e6) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// tables writes the figures of each row, and the ratios that the bars are about.
func (c *competition) tables(quashes []build) string {
	t := newTable("contender", "upstream", "door", "processor µs a call", "calls/s", "p50 ms", "p99 ms", "peak MB")
	for _, r := range c.rows {
		f := c.figures[r]
		t.add(r.name, string(r.upstream), c.contenders[r].door.name,
			fmt.Sprintf("%.1f", micros(medianOf(f, func(f figures) time.Duration { return f.cpu }))),
			fmt.Sprintf("%.0f", medianOf(f, func(f figures) float64 { return f.rate })),
			millis(medianOf(f, func(f figures) time.Duration { return f.p50 })),
			millis(medianOf(f, func(f figures) time.Duration { return f.p99 })),
			megabytes(medianOf(f, func(f figures) int64 { return f.peak })))
	}
	ratios := newTable("processor time a call", "upstream", "ratio", "rounds", "bar", "", "aim", "")
	all := bars(quashName)
	for _, b := range quashes[1:] {
		all = slices.Concat(all, bars(b.name), changes(b.name, quashName))
	}
	for _, b := range all {
		for _, p := range []protocol{http1, http2} {
			of, to := row{b.of, p}, row{b.to, p}
			if c.figures[of] == nil || c.figures[to] == nil {
				continue // nginx is not everywhere
			}
			middle, least, most := c.ratio(of, to)
			ratios.add(append([]string{b.of + " / " + b.to, string(p), fmt.Sprintf("%.2f", middle), fmt.Sprintf("%.2f–%.2f", least, most)},
				append(judge(middle, b.most), judge(middle, b.aim)...)...)...)
		}
	}
	return t.String() + "\n" + ratios.String()
}

// judge returns the cells of a limit, and of whether it is kept.
func judge(ratio, limit float64) []string {
	if limit == 0 {
		return []string{"", ""}
	}
	return []string{fmt.Sprintf("≤ %g", limit), met(ratio, limit)}
}
