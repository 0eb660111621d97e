package load

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/testbed"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
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

// replicationLag is how far the sandbox's other regions are behind.
const replicationLag = 200 * time.Millisecond

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

// session is what a run needs.
type session struct {
	plan     plan
	tmp      string
	ghz      string // the program
	upstream *testbed.Upstream
	quash    *testbed.Quash
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
	if s.upstream, err = testbed.NewUpstream(ctx, sandbox.Config{ReplicationLag: replicationLag}); err != nil {
		return err
	}
	defer s.upstream.Close()
	if s.quash, err = testbed.Start(ctx, s.tmp, *logPath, s.upstream); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.quash.Stop()) }()
	fmt.Printf("quash serves gRPC on %s, its sandbox %s; its log is %s\n%d calls, %d at a time over %d connections, consistency %s\n\n",
		s.quash.GRPC, s.upstream.URL(), *logPath, s.plan.Total, s.plan.Concurrency, s.plan.Connections, *consistency)
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

// mint makes fresh tokens.
func (s *session) mint() (tokens []string, err error) {
	tokens = make([]string, s.plan.Total)
	for i := range tokens {
		if tokens[i], err = s.upstream.Mint(sandbox.MintOptions{}); err != nil {
			return nil, fmt.Errorf("mint a token: %w", err)
		}
	}
	return tokens, nil
}

// checkDead returns an error unless all tokens are dead in the regions that the plan asks
// for.
func (s *session) checkDead(tokens []string) error {
	alive := 0
	for _, t := range tokens {
		regions, err := s.upstream.Revoked(t)
		if err != nil {
			return fmt.Errorf("ask the sandbox whether a token is dead: %w", err)
		}
		if !dead(regions, s.plan.allRegions) {
			alive++
		}
	}
	if alive > 0 {
		return fmt.Errorf("all calls were OK, but %d of %d tokens are alive", alive, len(tokens))
	}
	return nil
}

// dead reports whether a token is dead in some region, the first of which is the local
// one, or in all of them.
func dead(regions map[string]bool, everywhere bool) bool {
	revoked := slices.Collect(maps.Values(regions))
	if everywhere {
		return len(revoked) > 0 && !slices.Contains(revoked, false)
	}
	return slices.Contains(revoked, true)
}
