package main

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is what was measured. What is nil was not.
type report struct {
	machine machine
	pace    pace
	builds  []build
	small   *competition
	curve   *competition
	waiting *waiting
	added   *addition
	ready   []readiness
	spans   int64
}

// tables writes all that there is as Markdown. The plots are in a folder, seen from there.
func (r *report) tables(plots string) string {
	var b strings.Builder
	r.writeMachine(&b)
	if r.small != nil {
		r.writeSmall(&b)
	}
	if r.curve != nil {
		r.writeCurve(&b, plots)
	}
	if r.waiting != nil {
		r.writeWaiting(&b, plots)
	}
	if r.added != nil {
		r.writeAdded(&b)
	}
	if r.ready != nil {
		r.writeReady(&b)
	}
	return b.String()
}

func (r *report) writeMachine(b *strings.Builder) {
	m := r.machine
	t := newTable("", "")
	t.add("when", m.when.UTC().Format("2006-01-02 15:04 UTC"))
	t.add("processor", fmt.Sprintf("%s, %d cores", m.cpu, m.cores))
	t.add("kernel", m.kernel)
	t.add("Go", runtime.Version())
	for i, version := range m.quash {
		t.add(r.builds[i].name, version)
	}
	t.add("nginx", m.nginx)
	t.add("load", "from the same machine, and so is the upstream")
	t.add("rounds", fmt.Sprintf("%d of %s; of what takes longer %d", r.pace.rounds, r.pace.lasts, r.pace.brief().rounds))
	t.add("spans that the collector got", strconv.FormatInt(r.spans, 10))
	b.WriteString(t.String())
}

// smallWorkers is how many calls are under way at a time where each is small.
const smallWorkers = 64

func (r *report) writeSmall(b *strings.Builder) {
	c := r.small
	fmt.Fprintf(b, "\n### What a small call costs\n%d callers, each making one call after another with a token of %d bytes; over gRPC they share\n"+
		"%d connections, over REST each has one of HTTP/1.1. The upstream answers at once. Medians.\n\n", smallWorkers, tokenSize, channels)
	t := newTable("", "upstream", "processor µs a call", "calls/s", "p50 ms", "p99 ms", "peak MB")
	for _, row := range c.rows {
		f := c.medians(row)
		t.add(c.title(row), string(row.upstream), fmt.Sprintf("%.1f", micros(f.cpu)), fmt.Sprintf("%.0f", f.rate),
			millis(f.p50), millis(f.p99), megabytes(f.peak))
	}
	b.WriteString(t.String())
	b.WriteString("\nTo an upstream with TLS nginx speaks HTTP/1.1, for Debian's knows nothing else.\n" +
		"\nThe same as ratios of processor time a call, each the median of what the rounds say:\n\n")
	b.WriteString(r.ratios())
}

func (r *report) ratios() string {
	t := newTable("", "upstream", "ratio", "in the rounds", "bar", "", "aim", "")
	for _, compared := range allBars(r.builds) {
		for _, p := range protocols {
			of, to := row{compared.of, p, smallWorkers}, row{compared.to, p, smallWorkers}
			if compared.on != "" && compared.on != p || r.small.figures[of] == nil || r.small.figures[to] == nil {
				continue // nginx is not everywhere
			}
			middle, least, most := r.small.ratio(of, to)
			bar, kept := judge(middle, compared.most)
			aim, reached := judge(middle, compared.aim)
			t.add(compared.of+" / "+compared.to, string(p), fmt.Sprintf("%.2f", middle), fmt.Sprintf("%.2f to %.2f", least, most),
				bar, kept, aim, reached)
		}
	}
	return t.String()
}

// judge returns the cells of a limit of a ratio, and of whether it is kept.
func judge(ratio, limit float64) (bar, kept string) {
	if limit == 0 {
		return "", ""
	}
	return fmt.Sprintf("%g", limit), met(ratio, limit)
}

// title names a row and its door.
func (c *competition) title(r row) string { return c.contenders[r.name].door.name + ": " + r.name }

func (r *report) writeCurve(b *strings.Builder, plots string) {
	fmt.Fprintf(b, "\n### Throughput against latency\nThe same with more and fewer callers. A point further to the right and further down is better.\n\n")
	for _, f := range r.curve.plots() {
		fmt.Fprintf(b, "![%s](%s/%s.svg)\n", f.title, plots, f.file)
	}
	b.WriteString("\n" + r.byWorkers("calls/s at so many callers", func(f figures) string { return fmt.Sprintf("%.0f", f.rate) }))
	b.WriteString("\n" + r.byWorkers("p99 ms at so many callers", func(f figures) string { return millis(f.p99) }))
}

// byWorkers is a table of one figure, with a column for each number of callers.
func (r *report) byWorkers(what string, figure func(figures) string) string {
	header := append(make([]string, 0, 2+len(curveWorkers)), what, "upstream")
	for _, n := range curveWorkers {
		header = append(header, strconv.Itoa(n))
	}
	t := newTable(header...)
	for _, lead := range r.curve.rows {
		if lead.workers != curveWorkers[0] {
			continue
		}
		cells := append(make([]string, 0, len(header)), r.curve.title(lead), string(lead.upstream))
		for _, n := range curveWorkers {
			cells = append(cells, figure(r.curve.medians(row{lead.name, lead.upstream, n})))
		}
		t.add(cells...)
	}
	return t.String()
}

func (r *report) writeWaiting(b *strings.Builder, plots string) {
	w := r.waiting
	fmt.Fprintf(b, "\n### Calls in flight\nSo many calls for all regions begin at once, %d on a gRPC connection, and wait for the upstream, which\n"+
		"holds each for %s. It speaks HTTP/2 with TLS. A MB is 10⁶ bytes, a KB 10³. Medians of %d rounds.\n\n",
		callsPerChannel, w.hold, len(w.landings[w.flights[0]]))
	fmt.Fprintf(b, "![%s](%s/%s.svg)\n\n", memoryTitle, plots, memoryFile)
	t := newTable("", "calls", "upstream takes a connection", "connections to it", "failed", "slowest, s over", "", "rest MB", "peak MB", "", "KB a call", "")
	for _, f := range w.flights {
		l := w.landings[f]
		slowest := medianOf(l, func(l landing) time.Duration { return l.slowest })
		peak := medianOf(l, func(l landing) int64 { return l.peak })
		each := medianOf(l, func(l landing) int64 { return l.perCall(f) })
		late, high, heavy := "", "", ""
		if f.name != textbookName {
			heavy = met(each, mostPerCall)
			if f.calls <= quashTakes {
				late, high = met(slowest, mostSlow), met(peak, mostPeak)
			}
		}
		t.add(f.name, strconv.Itoa(f.calls), strconv.Itoa(f.streams),
			strconv.FormatInt(medianOf(l, func(l landing) int64 { return l.connections }), 10),
			failures(l), fmt.Sprintf("%.2f", slowest.Seconds()), late,
			megabytes(medianOf(l, func(l landing) int64 { return l.rest })), megabytes(peak), high,
			fmt.Sprintf("%.1f", float64(each)/1e3), heavy)
	}
	fmt.Fprintf(b, "%s\nBars: none fails; up to %d calls the slowest is at most %s over, and the peak at most %s MB; at most\n%d KB a call over rest.\n",
		t, quashTakes, mostSlow, megabytes(mostPeak), mostPerCall/1000)
}

// failures tells how many calls failed in all rounds.
func failures(rounds []landing) string {
	var failed int64
	complaint := ""
	for _, l := range rounds {
		failed += l.failed
		if l.failed > 0 {
			complaint = " (" + l.complaint + ")"
		}
	}
	return strconv.FormatInt(failed, 10) + complaint
}

func (r *report) writeAdded(b *strings.Builder) {
	fmt.Fprintf(b, "\n### What quash adds\n%d calls a second begin at fixed times, whether or not others have come back, and count from when they\n"+
		"were due. Medians; what is added is the median of what the rounds say.\n\n", openRate)
	t := newTable("", "upstream", "p50 ms", "p99 ms", "added to p50", "", "added to p99", "", "began late, p99 ms")
	for _, w := range r.added.ways {
		d := r.added.delays[w]
		late := millis(medianOf(d, func(d delays) time.Duration { return d.late }))
		verdict := met[time.Duration]
		if behind := r.added.behind(w); behind > 0 {
			late += fmt.Sprintf(": **in %d of %d rounds the load did not keep up**", behind, len(d))
			verdict = func(time.Duration, time.Duration) string { return "unsure" }
		}
		cells := []string{
			w.name, string(w.upstream),
			millis(medianOf(d, func(d delays) time.Duration { return d.p50 })),
			millis(medianOf(d, func(d delays) time.Duration { return d.p99 })),
		}
		if w.name == directName {
			cells = append(cells, "", "", "", "")
		} else {
			p50 := r.added.added(w, func(d delays) time.Duration { return d.p50 })
			p99 := r.added.added(w, func(d delays) time.Duration { return d.p99 })
			cells = append(cells, millis(p50), verdict(p50, mostAdded50), millis(p99), verdict(p99, mostAdded99))
		}
		t.add(append(cells, late)...)
	}
	fmt.Fprintf(b, "%s\nBars: %s ms, and %s ms at the 99th percentile.\n", t, millis(mostAdded50), millis(mostAdded99))
}

func (r *report) writeReady(b *strings.Builder) {
	b.WriteString("\n### Start and size\nFrom before the process exists until `/readyz` answers 200, and the file as `make build` makes it.\n\n")
	t := newTable("", "ready after ms", "", "longest ms", "file MB", "")
	for _, q := range r.ready {
		took := median(q.took)
		longest := slices.Max(q.took)
		t.add(q.name, millis(took), met(took, mostReady), millis(longest), fmt.Sprintf("%.1f", float64(q.bytes)/1e6), met(q.bytes, mostBytes))
	}
	fmt.Fprintf(b, "%s\nBars: %d ms, the median of %d; %s MB.\n", t, mostReady.Milliseconds(), len(r.ready[0].took), megabytes(mostBytes))
}
