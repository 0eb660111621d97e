package load

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/bench/measure"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

//go:embed ghz.json
var ghzJSON []byte

// connections are what ghz's calls share.
const connections = 4

// callWithGHZ has ghz make the calls of the plan, each with a fresh token. The error says
// what came of them that must not; the report is nil if there is none.
func (s *session) callWithGHZ(ctx context.Context) (*report, error) {
	tokens, err := s.mint()
	if err != nil {
		return nil, err
	}
	requests, err := encode(tokens, s.plan.consistency)
	if err != nil {
		return nil, err
	}
	configPath := filepath.Join(s.Tmp, "ghz.json")
	if err := os.WriteFile(configPath, ghzJSON, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, s.ghz, //nolint:gosec // it is ghz
		"--config", configPath, "--binary", "--format", "json", "--total", strconv.Itoa(s.plan.calls),
		"--concurrency", strconv.Itoa(s.plan.concurrency), "--connections", strconv.Itoa(min(connections, s.plan.concurrency)), s.GRPC)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(requests), os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ghz: %w", err)
	}
	r, err := readReport(text)
	if err != nil {
		return nil, err
	}
	if err := r.check(s.plan.calls); err != nil {
		return r, err
	}
	return r, s.checkDead(tokens)
}

// encode writes a request for each token, in the form that ghz reads from standard input:
// so no token is on a disk or a command line, and ghz's report, which repeats data in
// JSON, has none.
func encode(tokens []string, consistency string) ([]byte, error) {
	const longest = 120 // seconds that a call may wait
	asks := quashv1.Consistency(quashv1.Consistency_value["CONSISTENCY_"+strings.ToUpper(consistency)])
	var requests bytes.Buffer
	for _, t := range tokens {
		req := &quashv1.RevokeRequest{Token: t, Consistency: asks, Timeout: &durationpb.Duration{Seconds: longest}}
		if _, err := protodelim.MarshalTo(&requests, req); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	return requests.Bytes(), nil
}

// report is what is read of ghz's: numbers, times and the names of statuses. Everything
// else that ghz repeats, such as data and the texts of errors, is ignored. Durations are
// in nanoseconds.
type report struct {
	EndReason   string         `json:"endReason"` //nolint:tagliatelle // ghz's name; normal, timeout or cancel
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

// errNoReport does not quote what it is about.
var errNoReport = errors.New("what ghz wrote cannot be read as its report")

func readReport(text []byte) (*report, error) {
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, errNoReport
	}
	return r, nil
}

// check returns an error unless so many calls were made, and were OK.
func (r *report) check(calls int) error {
	if ok := r.Statuses["OK"]; ok != calls || len(r.Statuses) != 1 || r.Count != calls || r.EndReason != "normal" {
		return fmt.Errorf("of %d calls ghz made %d, and %d were OK; it ended with %q, and quash's log may say why", calls, r.Count, ok, r.EndReason)
	}
	return nil
}

func (r *report) table() string {
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
