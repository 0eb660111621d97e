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
	*testbed.Testbed

	plan plan
	ghz  string // the program
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	var s session
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&s.ghz, "ghz", ".build/ghz", "the ghz to run; make load builds it")
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
	s.plan.concurrency = min(s.plan.concurrency, s.plan.calls) // ghz refuses more
	if s.Testbed, err = testbed.Start(ctx, sandbox.Config{ReplicationLag: replicationLag}, *logPath); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.StopQuash(), s.Close()) }()
	fmt.Printf("quash serves gRPC on %s, its sandbox %s; its log is %s\n%d calls, %d at a time, consistency %s\n\n",
		s.GRPC, s.URL(), s.Log, s.plan.calls, s.plan.concurrency, s.plan.consistency)
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
		if tokens[i], err = s.Mint(sandbox.MintOptions{}); err != nil {
			return nil, fmt.Errorf("mint a token: %w", err)
		}
	}
	return tokens, nil
}

// checkDead returns an error unless all tokens are dead in the regions that the plan asks
// for. The local one is the first to know.
func (s *session) checkDead(tokens []string) error {
	alive := 0
	for _, t := range tokens {
		anywhere, everywhere, err := s.Dead(t)
		if err != nil {
			return err
		}
		if !anywhere || !everywhere && s.plan.consistency == allRegions {
			alive++
		}
	}
	if alive > 0 {
		return fmt.Errorf("all calls were OK, but %d of %d tokens are alive", alive, len(tokens))
	}
	return nil
}
