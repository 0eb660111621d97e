package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// write keeps the samples and the graph, and prints the report. Neither holds a
// token.
func (r *run) write(w io.Writer) error {
	if err := r.keep("samples.csv", samplesCSV(r.record.samples)); err != nil {
		return err
	}
	if err := r.keep("soak.svg", drawGraph(r.record.spans, r.record.samples, r.plan.warmUp)); err != nil {
		return err
	}
	fmt.Fprintln(w)
	r.tally.print(w)
	fmt.Fprintln(w)
	printMeasures(w, r.record.samples, r.quietSamples())
	fmt.Fprintf(w, "\n%s; see %s/soak.svg and %s/samples.csv\n", time.Since(r.begun).Round(time.Second), r.out, r.out)
	return nil
}

func samplesCSV(samples []sample) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "seconds,phase,calls,goroutines,heap_bytes,descriptors,rss_bytes")
	for _, s := range samples {
		fmt.Fprintf(&b, "%.2f,%s,%d,%d,%d,%d,%d\n",
			s.at.Seconds(), s.phase, s.calls, s.goroutines, s.heap, s.descriptors, s.rss)
	}
	return b.Bytes()
}

// print tells what the calls came to, by door.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := make([][]string, 0, len(t.answers)+2)
	rows = append(rows, append([]string{"answer"}, doorNames[:]...))
	var totals [len(doorNames)]int
	for _, label := range slices.Sorted(maps.Keys(t.answers)) {
		rows = append(rows, countsRow(label, *t.answers[label]))
		for d, n := range t.answers[label] {
			totals[d] += n
		}
	}
	printTable(w, append(rows, countsRow("all", totals)))
	fmt.Fprintln(w)
	for _, event := range slices.Sorted(maps.Keys(t.events)) {
		fmt.Fprintf(w, "%s: %d\n", event, t.events[event])
	}
}

func countsRow(label string, counts [len(doorNames)]int) []string {
	row := append(make([]string, 0, 1+len(counts)), label)
	for _, n := range counts {
		row = append(row, strconv.Itoa(n))
	}
	return row
}

// printMeasures tells what quash held at quiet times, and at most under load.
func printMeasures(w io.Writer, all, compared []sample) {
	if len(compared) == 0 {
		fmt.Fprintln(w, "there was no quiet time after the warm-up: nothing is compared")
		return
	}
	rows := [][]string{{
		"measure", "at rest", "after warm-up", "at the end", "growth allowed", "in 1000 calls", "peak under load", "peak allowed",
	}}
	for i := range measures {
		m := &measures[i]
		allowed := "any"
		if m.allowed > 0 {
			allowed = fmt.Sprintf("%g", m.allowed)
		}
		g := verdictOn(m, compared)
		rows = append(rows, []string{
			m.title(),
			fmt.Sprintf("%.4g", m.of(all[0])), fmt.Sprintf("%.4g", g.from), fmt.Sprintf("%.4g", g.to),
			allowed, fmt.Sprintf("%+.2g", g.perThousand),
			fmt.Sprintf("%.4g", m.peak(all)), fmt.Sprintf("%g", m.most),
		})
	}
	printTable(w, rows)
}

func printTable(w io.Writer, rows [][]string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		_, _ = io.WriteString(table, strings.Join(row, "\t")+"\t\n")
	}
	_ = table.Flush()
}
