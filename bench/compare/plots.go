package main

import (
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// plots are the figures of all that was measured and can be seen better than read.
func (r *report) plots() (all []*figure) {
	if r.curve != nil {
		all = append(all, r.curve.plots()...)
	}
	if r.waiting != nil {
		all = append(all, r.waiting.plot())
	}
	return all
}

// plots are one for each door and upstream.
func (c *competition) plots() (all []*figure) {
	for _, door := range []string{doorGRPC.name, doorDropIn.name} {
		for _, p := range protocols {
			f := &figure{
				file:  fmt.Sprintf("throughput-%s-%s", strings.ToLower(door), fileName(p)),
				title: fmt.Sprintf("Throughput against latency: %s, upstream %s", door, p),
				x:     "calls a second",
				y:     "latency of the 99th percentile, ms",
				logY:  true,
			}
			for _, r := range c.rows {
				if r.workers != curveWorkers[0] || c.contenders[r.name].door.name != door || r.upstream != p && r.upstream != "" {
					continue
				}
				f.series = append(f.series, series{name: r.name, style: styleOf(r.name), points: c.points(r)})
			}
			all = append(all, f)
		}
	}
	return all
}

// styleOf returns the style of a contender.
func styleOf(name string) int {
	return slices.IndexFunc([][]string{
		{quashName, nativeOf(quashName)},
		{dropInOf(quashName)},
		{textbookName, proxyName},
		{baselineName, nativeOf(baselineName)},
		{nothingName, nginxName},
		{dropInOf(baselineName)},
	}, func(names []string) bool { return slices.Contains(names, name) })
}

// points are those of a contender, by the number of workers.
func (c *competition) points(of row) (points plotter.XYs) {
	for _, n := range curveWorkers {
		f := c.medians(row{of.name, of.upstream, n})
		points = append(points, plotter.XY{X: f.rate, Y: micros(f.p99) / 1000})
	}
	return points
}

func fileName(p protocol) string {
	if p == http2 {
		return "http2"
	}
	return "http1"
}

const (
	memoryFile  = "memory"
	memoryTitle = "Memory against calls in flight"
)

// plot shows what every one needs at most, and the bar.
func (w *waiting) plot() *figure {
	f := &figure{file: memoryFile, title: memoryTitle, x: "calls that wait at once", y: "peak memory, MB"}
	of := map[string]int{}
	var rest, most float64
	for _, flown := range w.flights {
		if flown.streams != goStreams {
			continue
		}
		l := w.landings[flown]
		at, known := of[flown.name]
		if !known {
			at = len(f.series)
			of[flown.name] = at
			resting := float64(medianOf(l, func(l landing) int64 { return l.rest })) / 1e6
			f.series = append(f.series, series{name: flown.name, style: styleOf(flown.name), points: plotter.XYs{{X: 0, Y: resting}}})
			if flown.name == quashName {
				rest = resting
			}
		}
		most = max(most, float64(flown.calls))
		f.series[at].points = append(f.series[at].points,
			plotter.XY{X: float64(flown.calls), Y: float64(medianOf(l, func(l landing) int64 { return l.peak })) / 1e6})
	}
	f.series = append(f.series, series{
		name: fmt.Sprintf("the bar: %d KB a call", mostPerCall/1000), dashed: true,
		points: plotter.XYs{{X: 0, Y: rest}, {X: most, Y: rest + most*float64(mostPerCall)/1e6}},
	})
	return f
}
