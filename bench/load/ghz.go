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

// connections is the number of connections that ghz's calls share.
const connections = 4

// callWithGHZ runs ghz with the calls of the plan, each with a new token. It returns an error
// if a call was not OK or a token is not dead. The report is nil if ghz wrote none.
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
	cmd := exec.CommandContext(ctx, s.ghz, //nolint:gosec // runs ghz
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

// encode writes a request for each token in the binary form that ghz reads from standard input.
// This keeps tokens off disks and command lines, and out of ghz's report, which would repeat
// data in JSON.
func encode(tokens []string, consistency string) ([]byte, error) {
	const longest = 120 // the maximum consistency timeout, in seconds
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

// report is the part of ghz's report that is used: numbers, durations in nanoseconds, and names
// of statuses. Everything else, such as data and error texts, is ignored, because it could
// contain tokens.
type report struct {
	EndReason   string         `json:"endReason"` //nolint:tagliatelle // ghz's name; normal, timeout or cancel
	Count       int            `json:"count"`
	Total       time.Duration  `json:"total"`
	Rate        float64        `json:"rps"`                    // calls per second, including failed ones
	Statuses    map[string]int `json:"statusCodeDistribution"` //nolint:tagliatelle // ghz's name
	Slowest     time.Duration  `json:"slowest"`
	Percentiles []struct {
		Percentage int           `json:"percentage"`
		Latency    time.Duration `json:"latency"`
	} `json:"latencyDistribution"` //nolint:tagliatelle // ghz's name
}

// errNoReport does not quote ghz's output, which could contain tokens.
var errNoReport = errors.New("ghz's output is not a report in JSON")

func readReport(text []byte) (*report, error) {
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, errNoReport
	}
	return r, nil
}

// check returns an error unless ghz made all calls and every call was OK.
func (r *report) check(calls int) error {
	if ok := r.Statuses["OK"]; ok != calls || len(r.Statuses) != 1 || r.Count != calls || r.EndReason != "normal" {
		return fmt.Errorf("ghz made %[2]d of %[1]d calls, and %[3]d were OK; it ended with %[4]q; quash's log may show why", calls, r.Count, ok, r.EndReason)
	}
	return nil
}

func (r *report) table() string {
	t := measure.NewTable("ghz", "")
	t.Add("calls", strconv.Itoa(r.Count))
	t.Add("duration", r.Total.Round(10*time.Millisecond).String())
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
