package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/quashdev/quash/bench/measure"
)

// report is what is read of ghz's: numbers, times and the names of statuses. Everything
// else that ghz repeats, such as data and the texts of errors, is ignored. Durations are
// in nanoseconds.
type report struct {
	Options struct {
		config

		Timeout time.Duration `json:"timeout"`
		Binary  bool          `json:"binary"`
	} `json:"options"`
	EndReason string `json:"endReason"` //nolint:tagliatelle // ghz's name; normal, timeout or cancel

	Count       int            `json:"count"`
	Total       time.Duration  `json:"total"`
	Rate        float64        `json:"rps"`                    // calls a second, whether or not they were OK
	Statuses    map[string]int `json:"statusCodeDistribution"` //nolint:tagliatelle // ghz's name
	Slowest     time.Duration  `json:"slowest"`
	Percentiles []struct {
		Percentage int           `json:"percentage"`
		Latency    time.Duration `json:"latency"`
	} `json:"latencyDistribution"` //nolint:tagliatelle // ghz's name
}

const statusOK = "OK"

// errNoReport does not quote what it is about.
var errNoReport = errors.New("what ghz wrote cannot be read as its report")

func readReport(text []byte) (*report, error) {
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, errNoReport
	}
	return r, nil
}

// check returns why a run fails: ghz did not do what it was told (it did not understand a
// setting, or ended early), or not every call was made, and OK.
func (p plan) check(r *report) error {
	var wrong []error
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"call", r.Options.Call, p.Call},
		{"total", r.Options.Total, p.Total},
		{"concurrency", r.Options.Concurrency, p.Concurrency},
		{"connections", r.Options.Connections, p.Connections},
		{"timeout", r.Options.Timeout, p.timeout},
		{"binary", r.Options.Binary, true},
		{"endReason", r.EndReason, "normal"},
		{"count", r.Count, p.Total},
	} {
		if c.got != c.want {
			wrong = append(wrong, fmt.Errorf("ghz's report does not have %s %v", c.name, c.want))
		}
	}
	if ok := r.Statuses[statusOK]; ok != p.Total || len(r.Statuses) != 1 {
		wrong = append(wrong, fmt.Errorf("%d calls were OK, not %d; quash's log says why", ok, p.Total))
	}
	return errors.Join(wrong...)
}

// summary is the report as a table.
func (r *report) summary() string {
	t := measure.NewTable("ghz", "")
	t.Add("calls", strconv.Itoa(r.Count))
	t.Add("took", r.Total.Round(10*time.Millisecond).String())
	t.Add("calls/s", fmt.Sprintf("%.0f", r.Rate))
	for _, p := range r.Percentiles {
		if p.Percentage == 50 || p.Percentage >= 95 {
			t.Add(fmt.Sprintf("p%d", p.Percentage), p.Latency.Round(10*time.Microsecond).String())
		}
	}
	t.Add("slowest", r.Slowest.Round(10*time.Microsecond).String())
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		t.Add(status, strconv.Itoa(r.Statuses[status]))
	}
	return t.String()
}
