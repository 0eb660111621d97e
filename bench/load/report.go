package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc/codes"
)

// report is what is read of ghz's: numbers, times, and the names of gRPC's statuses.
// Whatever else ghz repeats, the texts of errors and the data that it sent first of all,
// is left where it was. Durations are in nanoseconds.
type report struct {
	Options struct {
		config

		Timeout time.Duration `json:"timeout"`
		Binary  bool          `json:"binary"`
	} `json:"options"`
	EndReason string    `json:"endReason"` //nolint:tagliatelle // ghz's name; it is normal, timeout, or cancel
	Date      time.Time `json:"date"`

	Count    int            `json:"count"`
	Total    time.Duration  `json:"total"`
	Rate     float64        `json:"rps"`                    // calls a second, whatever came of them
	Statuses map[string]int `json:"statusCodeDistribution"` //nolint:tagliatelle // ghz's name

	// Only of calls that were OK, as is all on latencies below.
	Fastest     time.Duration `json:"fastest"`
	Slowest     time.Duration `json:"slowest"`
	Percentiles []struct {
		Percentage int           `json:"percentage"`
		Latency    time.Duration `json:"latency"`
	} `json:"latencyDistribution"` //nolint:tagliatelle // ghz's name
	Histogram []struct {
		Mark  float64 `json:"mark"` // seconds: the longest that it counts
		Count int     `json:"count"`
	} `json:"histogram"`

	Details []struct {
		Timestamp time.Time `json:"timestamp"` // when it ended
		Status    string    `json:"status"`
	} `json:"details"`
}

// statusOK is one of statusNames.
const statusOK = "OK"

// statusNames are how ghz names gRPC's statuses.
var statusNames = func() map[string]bool {
	names := map[string]bool{}
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		names[code.String()] = true
	}
	return names
}()

// errNoReport says nothing of what it is about.
var errNoReport = errors.New("what ghz wrote cannot be read as its report")

func readReport(text []byte) (*report, error) {
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, errNoReport
	}
	for status := range r.Statuses {
		if !statusNames[status] {
			return nil, errNoReport
		}
	}
	return r, nil
}

// percentile is the latency that so many in a hundred calls did not exceed; 0 where ghz
// does not say.
func (r *report) percentile(percentage int) time.Duration {
	for _, p := range r.Percentiles {
		if p.Percentage == percentage {
			return p.Latency
		}
	}
	return 0
}

// statuses are those there were, with OK first.
func (r *report) statuses() []string {
	return slices.SortedFunc(maps.Keys(r.Statuses), func(a, b string) int {
		switch statusOK {
		case a:
			return -1
		case b:
			return 1
		}
		return strings.Compare(a, b)
	})
}

// figures are what a run comes to, with what each is.
func (r *report) figures() [][2]string {
	return [][2]string{
		{"calls", fmt.Sprintf("%d in %s", r.Count, short(r.Total))},
		{"calls/s", fmt.Sprintf("%.0f", r.Rate)},
		{"p50", short(r.percentile(50))},
		{"p95", short(r.percentile(95))},
		{"p99", short(r.percentile(99))},
		{"slowest", short(r.Slowest)},
	}
}

// summary is the report in a few lines.
func (r *report) summary() string {
	var lines, aligned strings.Builder
	for _, f := range r.figures() {
		fmt.Fprintf(&lines, "  %s\t%s\n", f[0], f[1])
	}
	for _, status := range r.statuses() {
		fmt.Fprintf(&lines, "  %s\t%d\n", status, r.Statuses[status])
	}
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(table, lines.String())
	_ = table.Flush() // a strings.Builder takes everything
	return aligned.String()
}

// short is a duration to three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(10 * time.Microsecond).String()
	}
}
