// Package load has ghz call quash, each call with a token of its own, and fails unless
// every call was OK and every token is dead: ghz itself succeeds also when no call did.
//
//	load.go    the command; fresh tokens, and whether they are dead
//	ghz.go     ghz and its report
//	ghz.json   ghz's configuration, which docs/load.md shows to users
//	bulk.go    quash revoke --file next to ghz
package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/sandbox"
)

// replicationLag is how far the sandbox's other regions are behind.
const replicationLag = 200 * time.Millisecond

// plan is what a run does.
type plan struct {
	calls, concurrency int
	consistency        string
}

// maxCalls is how many tokens the sandbox mints at a time, and how many calls ghz lists.
const maxCalls = 1_000_000

func (p plan) check() error {
	switch {
	case p.calls < 1 || p.calls > maxCalls:
		return fmt.Errorf("-calls must be from 1 to %d, and is %d", maxCalls, p.calls)
	case p.concurrency < 1 || p.concurrency > p.calls:
		return fmt.Errorf("-concurrency must be from 1 to the %d calls, and is %d", p.calls, p.concurrency)
	case p.consistency != localRegion && p.consistency != allRegions:
		return fmt.Errorf("-consistency must be %s or %s, and is %q", localRegion, allRegions, p.consistency)
	}
	return nil
}

const (
	localRegion = "local_region"
	allRegions  = "all_regions"
)

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
	s := session{}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&s.ghz, "ghz", ".build/ghz", "the ghz to run; make load installs it")
	flags.IntVar(&s.plan.calls, "calls", 20_000, "how many calls, 1 to 1000000")
	flags.IntVar(&s.plan.concurrency, "concurrency", 64, "how many calls at a time")
	flags.StringVar(&s.plan.consistency, "consistency", localRegion, "what each call asks for, local_region or all_regions")
	bulkRounds := flags.Int("bulk", 0, "compare ghz with quash revoke --file in so many rounds (default: only ghz)")
	logPath := flags.String("log", ".build/load.log", "the file for quash's log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := s.plan.check(); err != nil {
		return err
	}
	// What has tokens in it goes here, and is gone afterwards: lists, journals, reports.
	if s.tmp, err = os.MkdirTemp("", "quash-load-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.tmp)) }()
	if s.upstream, err = testbed.NewUpstream(ctx, sandbox.Config{ReplicationLag: replicationLag}); err != nil {
		return err
	}
	defer s.upstream.Close()
	if s.quash, err = testbed.Start(ctx, s.tmp, *logPath, s.upstream); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.quash.Stop()) }()
	fmt.Printf("quash serves gRPC on %s, its sandbox %s; its log is %s\n%d calls, %d at a time, consistency %s\n\n",
		s.quash.GRPC, s.upstream.URL(), *logPath, s.plan.calls, s.plan.concurrency, s.plan.consistency)
	if *bulkRounds > 0 {
		return s.bulk(ctx, *bulkRounds)
	}
	r, err := s.callWithGHZ(ctx)
	if r != nil {
		fmt.Print(r.table())
	}
	return err
}

// mint makes fresh tokens.
func (s *session) mint() (tokens []string, err error) {
	tokens = make([]string, s.plan.calls)
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
		if !dead(regions, s.plan.consistency == allRegions) {
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
