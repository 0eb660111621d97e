package load

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/proctest"
)

//go:embed ghz.json
var ghzJSON []byte

// config is the part of ghz.json that ghz's report repeats. ghz ignores names that it
// does not know, so a misspelt one would go unseen.
type config struct {
	Call        string `json:"call"`
	Total       int    `json:"total"`
	Concurrency int    `json:"concurrency"`
	Connections int    `json:"connections"`
}

// plan is what a run does: ghz.json, unless flags say otherwise.
type plan struct {
	config

	timeout    time.Duration // of each call
	allRegions bool
}

// maxCalls is how many tokens the sandbox mints at a time, and how many calls ghz lists.
const maxCalls = 1_000_000

// newPlan reads ghz.json. calls and concurrency replace what it says unless they are 0.
func newPlan(calls, concurrency int, consistency string) (p plan, err error) {
	var timeout struct {
		Timeout string `json:"timeout"`
	}
	if err := errors.Join(json.Unmarshal(ghzJSON, &p.config), json.Unmarshal(ghzJSON, &timeout)); err != nil {
		return p, fmt.Errorf("ghz.json: %w", err)
	}
	if p.timeout, err = time.ParseDuration(timeout.Timeout); err != nil {
		return p, fmt.Errorf("ghz.json: timeout: %w", err)
	}
	if calls != 0 {
		p.Total = calls
	}
	if concurrency != 0 {
		p.Concurrency = concurrency
	}
	p.Concurrency = min(p.Concurrency, p.Total)
	p.Connections = min(p.Connections, p.Concurrency) // ghz refuses more
	p.allRegions = consistency == "all_regions"
	switch {
	case p.Total < 1 || p.Total > maxCalls:
		return p, fmt.Errorf("-calls must be from 1 to %d, and is %d", maxCalls, p.Total)
	case p.Concurrency < 1:
		return p, fmt.Errorf("-concurrency must be at least 1, and is %d", p.Concurrency)
	case !p.allRegions && consistency != "local_region":
		return p, fmt.Errorf("-consistency must be local_region or all_regions, and is %q", consistency)
	}
	return p, nil
}

// consistency is what every call asks for.
func (p plan) consistency() quashv1.Consistency {
	if p.allRegions {
		return quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	return quashv1.Consistency_CONSISTENCY_LOCAL_REGION
}

// session is a quash dev that runs, and what is needed to call it.
type session struct {
	plan        plan
	tmp         string
	ghz, binary string // programs
	addr        string // of quash, over gRPC
	sandbox     sandboxURL
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	ghz := flags.String("ghz", "", "the ghz to install, as package@version")
	calls := flags.Int("calls", 0, "how many calls, 1 to 1000000 (default: as in ghz.json)")
	concurrency := flags.Int("concurrency", 0, "how many calls at a time (default: as in ghz.json)")
	consistency := flags.String("consistency", "local_region", "what each call asks for, local_region or all_regions")
	bulkRounds := flags.Int("bulk", 0, "compare ghz with quash revoke --file in so many rounds (default: only ghz)")
	logPath := flags.String("log", ".build/load.log", "the file for quash's log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := session{}
	if s.plan, err = newPlan(*calls, *concurrency, *consistency); err != nil {
		return err
	}
	// What has tokens in it goes here, and is gone afterwards: lists, journals, reports.
	if s.tmp, err = os.MkdirTemp("", "quash-load-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.tmp)) }()
	if s.ghz, err = installGHZ(ctx, s.tmp, *ghz); err != nil {
		return err
	}
	if s.binary, err = proctest.Build(ctx, s.tmp); err != nil {
		return err
	}
	log, err := os.Create(*logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	stop, err := s.startQuash(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	fmt.Printf("quash serves gRPC on %s, its sandbox %s; its log is %s\n%d calls, %d at a time over %d connections, consistency %s\n\n",
		s.addr, s.sandbox, *logPath, s.plan.Total, s.plan.Concurrency, s.plan.Connections, *consistency)
	if *bulkRounds > 0 {
		return s.bulk(ctx, *bulkRounds)
	}
	report, verdict, err := s.callWithGHZ(ctx)
	if err != nil {
		return err
	}
	fmt.Print(report.summary())
	return verdict
}

// startQuash starts quash dev. Its greeting holds a token: no error quotes what it wrote.
func (s *session) startQuash(log *os.File) (stop func() error, err error) {
	cmd := exec.Command(s.binary, "dev", "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", //nolint:gosec,noctx // just built; stop ends it
		"--admin-addr", "127.0.0.1:0", "--sandbox-addr", "127.0.0.1:0")
	cmd.Stderr = log
	p, err := proctest.Start(cmd)
	if err != nil {
		return nil, err
	}
	addrs, err := p.Addrs()
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("quash dev did not start; %s says why", log.Name())
	}
	s.addr, s.sandbox = addrs.GRPC, sandboxURL(addrs.Sandbox)
	return func() error {
		if p.Stop() != nil {
			return fmt.Errorf("quash dev did not stop in order; %s says why", log.Name())
		}
		return nil
	}, nil
}

// tokensFile writes a list of tokens, one a line.
func (s *session) tokensFile(tokens []token) (path string, err error) {
	dir, err := os.MkdirTemp(s.tmp, "list-")
	if err != nil {
		return "", err
	}
	var text []byte
	for _, t := range tokens {
		text = append(append(text, t.text...), '\n')
	}
	path = filepath.Join(dir, "tokens")
	return path, os.WriteFile(path, text, 0o600)
}
