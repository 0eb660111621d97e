package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// configPath is ghz's configuration, from the repository's root.
const configPath = "bench/load/ghz.json"

//go:embed ghz.json
var configJSON []byte

// config is what ghz.json says, and ghz's report repeats. ghz takes no notice of what
// it does not know, so a name that is misspelt would go unseen.
type config struct {
	Call        string `json:"call"`
	Total       int    `json:"total"`
	Concurrency int    `json:"concurrency"`
	Connections int    `json:"connections"`
}

// maxCalls is how many tokens the sandbox mints at a time, and how many calls ghz
// reports one by one.
const maxCalls = 1_000_000

// plan is what a run is to do: ghz.json, and what it is told otherwise.
type plan struct {
	config

	timeout       time.Duration // of each call
	named         string        // the consistencies, as they were asked for
	consistencies []quashv1.Consistency
	lag, p99      time.Duration
}

func newPlan(s settings) (plan, error) {
	p := plan{named: s.consistency, consistencies: consistencies[s.consistency], lag: s.lag, p99: s.p99}
	var timeout struct {
		Timeout string `json:"timeout"`
	}
	if err := errors.Join(json.Unmarshal(configJSON, &p.config), json.Unmarshal(configJSON, &timeout)); err != nil {
		return p, fmt.Errorf("%s: %w", configPath, err)
	}
	var err error
	if p.timeout, err = time.ParseDuration(timeout.Timeout); err != nil {
		return p, fmt.Errorf("%s: timeout: %w", configPath, err)
	}
	if s.calls != 0 {
		p.Total = s.calls
	}
	if s.concurrency != 0 {
		p.Concurrency = s.concurrency
	}
	p.Concurrency = min(p.Concurrency, p.Total)
	p.Connections = min(p.Connections, p.Concurrency) // ghz refuses more
	switch {
	case p.Total < 1 || p.Total > maxCalls:
		return p, fmt.Errorf("-calls must be from 1 to %d, and is %d", maxCalls, p.Total)
	case p.Concurrency < 1:
		return p, fmt.Errorf("-concurrency must be at least 1, and is %d", p.Concurrency)
	case p.consistencies == nil:
		return p, fmt.Errorf("-consistency must be local_region, all_regions or mixed, and is %q", s.consistency)
	case p.lag < 0:
		return p, fmt.Errorf("-lag must not be negative, and is %s", p.lag)
	}
	return p, nil
}

// String is the plan in words.
func (p plan) String() string {
	words := fmt.Sprintf("%d calls, %d at a time over %d connections, consistency %s", p.Total, p.Concurrency, p.Connections, p.named)
	if p.named != "local_region" {
		words += fmt.Sprintf(", the other regions %s behind", p.lag)
	}
	return words
}

// installGHZ builds ghz in the folder tmp. It is run from there, and not by go run, for
// that would leave it behind when it is killed.
func installGHZ(ctx context.Context, tmp, pkg string) (binary string, err error) {
	if !strings.Contains(pkg, "@") {
		return "", fmt.Errorf("-ghz must be a package and its version, and is %q; make load knows which", pkg)
	}
	install := exec.CommandContext(ctx, "go", "install", pkg) //nolint:gosec // it is what a flag says
	install.Env = append(os.Environ(), "GOBIN="+tmp)
	if output, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install %s: %w\n%s", pkg, err, output)
	}
	name, _, _ := strings.Cut(path.Base(pkg), "@")
	return filepath.Join(tmp, name), nil
}

// runGHZ has ghz make the calls, and reads its report.
func runGHZ(ctx context.Context, p plan, binary, addr string, calls []byte) (*report, error) {
	cmd := exec.CommandContext(ctx, binary, //nolint:gosec // it is ghz
		"--config", configPath, "--binary", "--format", "json", "--total", strconv.Itoa(p.Total),
		"--concurrency", strconv.Itoa(p.Concurrency), "--connections", strconv.Itoa(p.Connections), addr)
	cmd.Stdin = bytes.NewReader(calls)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ghz: %w", err)
	}
	return readReport(stdout.Bytes())
}
