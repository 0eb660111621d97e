package main

import (
	"strings"
	"testing"
	"time"
)

// newTestReport is a whole one, of figures that are made up.
func newTestReport() *report {
	s := &setup{quash: []build{{name: quashName}, {name: baselineName}}, nginx: "nginx"}
	r := &report{
		machine: machine{cpu: "Fast One", cores: 2, kernel: "6.0", quash: []string{"quash v2", "quash v1"}, nginx: "nginx 1"},
		pace:    pace{3, time.Second},
		builds:  s.quash,
		small:   newCompetition(s.contenders(), smallWorkers),
		curve:   newCompetition(s.contenders(), curveWorkers...),
		waiting: &waiting{hold: 8 * time.Second, flights: s.flights(), landings: map[flight][]landing{}},
		added:   &addition{delays: map[way][]delays{}},
		ready:   []readiness{{quashName, []time.Duration{90 * time.Millisecond}, 36e6}},
		spans:   7,
	}
	costs := map[string]int{quashName: 75, textbookName: 100, nativeOf(quashName): 90, proxyName: 100, nginxName: 20}
	for _, c := range []*competition{r.small, r.curve} {
		for _, row := range c.rows {
			c.figures[row] = []figures{{
				cpu: time.Duration(1000 * max(costs[row.name], 1)), rate: float64(1000 * row.workers),
				p50: time.Millisecond, p99: time.Duration(row.workers) * time.Millisecond, peak: 50e6,
			}}
		}
	}
	for _, f := range r.waiting.flights {
		r.waiting.landings[f] = []landing{{slowest: time.Duration(f.calls) * time.Millisecond / 2, rest: 30e6, peak: 30e6 + int64(f.calls)*24e3, connections: 4}}
	}
	failed := flight{quashName, 20_000, goStreams}
	r.waiting.landings[failed][0].failed, r.waiting.landings[failed][0].complaint = 3, "no room"
	for w, d := range map[way]delays{
		{directName, http1}: {p50: 200 * time.Microsecond, p99: 3 * time.Millisecond},
		{quashName, http1}:  {p50: 400 * time.Microsecond, p99: 6 * time.Millisecond, late: 2 * mostLate},
		{directName, http2}: {p50: 200 * time.Microsecond, p99: 3 * time.Millisecond},
		{quashName, http2}:  {p50: 400 * time.Microsecond, p99: 6 * time.Millisecond},
	} {
		r.added.ways = append(r.added.ways, w)
		r.added.delays[w] = []delays{d}
	}
	return r
}

func TestTables(t *testing.T) {
	t.Parallel()
	text := newTestReport().tables("plots")
	for _, want := range []string{
		"| processor | Fast One, 2 cores |",
		"| quash | quash v2 |",
		"| quash (baseline) | quash v1 |",
		"| gRPC: quash | HTTP/1.1 | 75.0 | 64000 | 1.00 | 64.00 | 50 |",
		"| quash / textbook façade | HTTP/1.1 | 0.75 | 0.75 to 0.75 | 1.35 | met | 1.1 | met |",
		"| quash, native / httputil.ReverseProxy | HTTP/2, TLS | 0.90 | 0.90 to 0.90 | 1.05 | met | 0.9 | met |",
		"| quash, native / nginx | HTTP/1.1 | 4.50 | 4.50 to 4.50 |  |  |  |  |",
		"| quash / quash (baseline) | HTTP/1.1 | 75.00 | 75.00 to 75.00 |  |  |  |  |",
		"](plots/throughput-grpc-http1.svg)",
		"| gRPC: quash | HTTP/1.1 | 1000 | 4000 | 16000 | 64000 | 256000 |",
		"](plots/memory.svg)",
		"| quash | 1000 | 250 | 4 | 0 | 0.50 | met | 30 | 54 | met | 24.0 | met |",
		"| quash | 10000 | 250 | 4 | 0 | 5.00 | **missed** | 30 | 270 | met | 24.0 | met |",
		"| quash | 20000 | 250 | 4 | 3 (no room) | 10.00 |  | 30 | 510 |  | 24.0 | met |",
		"| textbook façade | 1000 | 250 | 4 | 0 | 0.50 |  | 30 | 54 |  | 24.0 |  |",
		"| direct, net/http | HTTP/1.1 | 0.20 | 3.00 |  |  |  |  | 0.00 |",
		"| quash | HTTP/1.1 | 0.40 | 6.00 | 0.20 | unsure | 3.00 | unsure | 2.00: **in 1 of 1 rounds the load did not keep up** |",
		"| quash | HTTP/2, TLS | 0.40 | 6.00 | 0.20 | met | 3.00 | **missed** | 0.00 |",
		"| quash | 90.00 | met | 90.00 | 36.0 | **missed** |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "%!") {
		t.Errorf("there is nonsense in\n%s", text)
	}
}

// What was not measured is not in the report.
func TestTablesOfParts(t *testing.T) {
	t.Parallel()
	r := newTestReport()
	r.small, r.curve, r.waiting, r.added = nil, nil, nil, nil
	if text := r.tables("."); strings.Count(text, "\n### ") != 1 || !strings.Contains(text, "### Start and size") {
		t.Errorf("got\n%s", text)
	}
	if got := r.plots(); len(got) != 0 {
		t.Errorf("there are %d plots of nothing", len(got))
	}
}
