// Package load calls quash with ghz, each call with a new token, and fails unless every call
// was OK and every token is dead. ghz itself exits with 0 even if every call fails.
//
//	load.go    the command; mints tokens, and checks that they are dead
//	ghz.go     runs ghz and reads its report
//	ghz.json   ghz's configuration, which docs/load.md shows
//	bulk.go    compares quash revoke --file with ghz, for package compare
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

// replicationLag is the replication lag of the sandbox's remote regions.
const replicationLag = 200 * time.Millisecond

// plan is the plan of a run.
type plan struct {
	calls, concurrency int
	consistency        string
}

// defaultConcurrency is the default number of concurrent calls.
const defaultConcurrency = 64

// maxCalls is the maximum number of tokens that the sandbox mints at a time, and of calls that
// ghz lists.
const maxCalls = 1_000_000

func (p plan) check() error {
	switch {
	case p.calls < 1 || p.calls > maxCalls:
		return fmt.Errorf("-calls must be from 1 to %d, not %d", maxCalls, p.calls)
	case p.consistency != localRegion && p.consistency != allRegions:
		return fmt.Errorf("-consistency must be %s or %s, not %q", localRegion, allRegions, p.consistency)
	}
	return nil
}

const (
	localRegion = "local_region"
	allRegions  = "all_regions"
)

// session is a run.
type session struct {
	*testbed.Testbed

	plan plan
	ghz  string // path of the program
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	var s session
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&s.ghz, "ghz", ".build/ghz", "path of the ghz binary; make load builds it")
	flags.IntVar(&s.plan.calls, "calls", 20_000, "number of calls, 1 to 1000000")
	flags.IntVar(&s.plan.concurrency, "concurrency", defaultConcurrency, "number of concurrent calls")
	flags.StringVar(&s.plan.consistency, "consistency", localRegion, "required consistency of each call: local_region or all_regions")
	logPath := flags.String("log", ".build/load.log", "file for quash's log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := s.plan.check(); err != nil {
		return err
	}
	s.plan.concurrency = min(s.plan.concurrency, s.plan.calls) // ghz rejects more
	if err := s.start(ctx, "", *logPath); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	fmt.Printf("quash serves gRPC on %s with the sandbox at %s; its log is %s\n%d calls, %d concurrent, consistency %s\n\n",
		s.GRPC, s.URL(), s.Log, s.plan.calls, s.plan.concurrency, s.plan.consistency)
	r, err := s.callWithGHZ(ctx)
	if r != nil {
		fmt.Print(r.table())
	}
	return err
}

// start starts quash and the sandbox. If binary is empty, it builds quash. The caller must call end.
func (s *session) start(ctx context.Context, binary, logPath string) (err error) {
	s.Testbed, err = testbed.Start(ctx, binary, sandbox.Config{ReplicationLag: replicationLag}, logPath)
	return err
}

func (s *session) end() error { return errors.Join(s.StopQuash(), s.Close()) }

// mint returns a new token for each call.
func (s *session) mint() (tokens []string, err error) {
	tokens = make([]string, s.plan.calls)
	for i := range tokens {
		if tokens[i], err = s.Mint(sandbox.MintOptions{}); err != nil {
			return nil, fmt.Errorf("mint a token: %w", err)
		}
	}
	return tokens, nil
}

// checkDead returns an error unless all tokens are dead: everywhere if the plan requires all
// regions, otherwise in at least one region, which is the local one.
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
		return fmt.Errorf("all calls were OK, but %d of %d tokens are not revoked", alive, len(tokens))
	}
	return nil
}
