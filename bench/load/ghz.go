package load

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// installGHZ builds ghz in the folder tmp. go run would leave it running when it is
// killed.
func installGHZ(ctx context.Context, tmp, pkg string) (binary string, err error) {
	if !strings.Contains(pkg, "@") {
		return "", fmt.Errorf("-ghz must be a package and its version, and is %q; make load knows them", pkg)
	}
	install := exec.CommandContext(ctx, "go", "install", pkg) //nolint:gosec // the value of a flag
	install.Env = append(os.Environ(), "GOBIN="+tmp)
	if output, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install %s: %w\n%s", pkg, err, output)
	}
	return filepath.Join(tmp, "ghz"), nil
}

// callWithGHZ has ghz make the calls of the plan, each with a fresh token. The verdict says
// what came of them that must not.
func (s *session) callWithGHZ(ctx context.Context) (r *report, verdict, err error) {
	tokens, err := s.mint()
	if err != nil {
		return nil, nil, err
	}
	requests, err := s.plan.encode(tokens)
	if err != nil {
		return nil, nil, err
	}
	configPath := filepath.Join(s.tmp, "ghz.json")
	if err := os.WriteFile(configPath, ghzJSON, 0o600); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, s.ghz, //nolint:gosec // it is ghz
		"--config", configPath, "--binary", "--format", "json", "--total", strconv.Itoa(s.plan.Total),
		"--concurrency", strconv.Itoa(s.plan.Concurrency), "--connections", strconv.Itoa(s.plan.Connections), s.quash.GRPC)
	cmd.Stdin = bytes.NewReader(requests)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("ghz: %w", err)
	}
	if r, err = readReport(stdout.Bytes()); err != nil {
		return nil, nil, err
	}
	if verdict = s.plan.check(r); verdict == nil {
		verdict = s.checkDead(tokens)
	}
	return r, verdict, nil
}

// encode writes a request for each token, in the form that ghz reads from standard input:
// so no token is on a disk or a command line, and ghz's report, which repeats data in
// JSON, has none.
func (p plan) encode(tokens []string) ([]byte, error) {
	const longest = 120 // seconds that a call may wait
	var requests bytes.Buffer
	for _, t := range tokens {
		req := &quashv1.RevokeRequest{Token: t, Consistency: p.consistency(), Timeout: &durationpb.Duration{Seconds: longest}}
		if _, err := protodelim.MarshalTo(&requests, req); err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
	}
	return requests.Bytes(), nil
}
