package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/sandbox"
)

// plan is how a run goes: in each cycle there is load, with all faults one after another,
// and then a quiet phase.
type plan struct {
	cycles int
	load   time.Duration // of a cycle
	warmUp int           // cycles before the first that is compared: caches fill in them
}

const (
	minDuration = time.Minute
	maxCycle    = 90 * time.Second
	minCycles   = 4               // enough to tell growth from one bad moment
	quietTakes  = 4 * time.Second // about
)

func newPlan(duration time.Duration) (plan, error) {
	if duration < minDuration {
		return plan{}, fmt.Errorf("-duration %s is too short to tell growth: at least %s", duration, minDuration)
	}
	cycles := max(int(duration/maxCycle), minCycles)
	return plan{
		cycles: cycles,
		load:   duration/time.Duration(cycles) - quietTakes,
		warmUp: max(1, cycles/6),
	}, nil
}

// soak is a run.
type soak struct {
	plan     plan
	out      string // the folder for the log and the profiles
	upstream *testbed.Upstream
	quash    *testbed.Quash
	probe    *probe
	load     *load
	samples  []sample // of quiet phases
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	duration := flags.Duration("duration", 30*time.Minute, "how long the run takes, about; at least 1m")
	out := flags.String("out", ".build/soak", "the folder for quash's log and, when quash grows, its profiles")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &soak{out: *out}
	if s.plan, err = newPlan(*duration); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	s.upstream, err = testbed.NewUpstream(ctx, sandbox.Config{
		Regions:        []string{localRegion, "eu-west", remoteRegion},
		ReplicationLag: replicationLag,
		// Tokens outlive their cycle, after which the sandbox is asked about them, but not
		// by much: it remembers a revocation as long as its token lives.
		TokenLifetime: s.plan.load + 2*time.Minute,
	})
	if err != nil {
		return err
	}
	defer s.upstream.Close()
	// The variable makes profiles show small leaks.
	s.quash, err = testbed.Start(ctx, tmp, filepath.Join(s.out, "quash.log"), s.upstream, "GODEBUG=memprofilerate=4096")
	if err != nil {
		return err
	}
	defer s.quash.Kill()
	s.probe = newProbe(s.quash.PID(), s.quash.Admin)
	if s.load, err = newLoad(s.quash.Addrs, s.upstream); err != nil {
		return err
	}
	fmt.Printf("soaking quash, pid %d: %d cycles of %s under load; its log is %s\n",
		s.quash.PID(), s.plan.cycles, s.plan.load.Round(time.Second), s.quash.LogPath)
	err = s.cycles(ctx)
	s.load.close()
	s.probe.close()
	fmt.Printf("\n%s\n%s\n", s.load.tally.table(), growthTable(s.plan.warmUp, s.samples))
	if err != nil {
		return err
	}
	return s.verdict(ctx)
}

// cycles goes through the plan. It ends early when an answer was wrong.
func (s *soak) cycles(ctx context.Context) error {
	if err := s.quiet(ctx); err != nil {
		return err
	}
	for i := range s.plan.cycles {
		if err := s.cycle(ctx); err != nil {
			return err
		}
		select {
		case <-s.quash.Done():
			return fmt.Errorf("quash ended by itself, with %s; %s may say why", s.quash.State(), s.quash.LogPath)
		default:
		}
		fmt.Printf("cycle %d of %d: %d calls\n", i+1, s.plan.cycles, s.load.tally.calls())
		if s.load.tally.wrong() {
			break
		}
	}
	return s.quiet(ctx) // once more, with no load in between: see growth
}

// cycle has all faults happen under load, and measures in the quiet phase after it.
func (s *soak) cycle(ctx context.Context) error {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var running sync.WaitGroup
	running.Go(func() { s.load.run(loading, s.plan.load) })
	err := misbehave(ctx, s.upstream, s.plan.load)
	if err != nil {
		stopLoad()
	}
	running.Wait()
	if err != nil {
		return err
	}
	return s.quiet(ctx)
}

// quiet measures once nothing moves any more. The callers have ended already, and the
// revocations of those that left end, too. The upstream closes its connections, and speaks
// the other version of HTTP from now on; what callers were told is checked once more.
func (s *soak) quiet(ctx context.Context) error {
	if err := s.probe.settle(ctx); err != nil {
		return err
	}
	if err := s.upstream.Swap(ctx); err != nil {
		return err
	}
	if err := s.load.connect(ctx); err != nil {
		return err
	}
	if err := s.probe.settle(ctx); err != nil {
		return err
	}
	for _, untrue := range s.load.judge.check() {
		s.load.tally.complain(untrue)
	}
	sample, err := s.probe.sample(ctx)
	s.samples = append(s.samples, sample)
	return err
}

// verdict stops quash, and returns why the soak failed.
func (s *soak) verdict(ctx context.Context) error {
	failures := []error{s.load.tally.verdict()}
	if grown := grown(s.plan.warmUp, s.samples); grown != nil {
		failures = append(failures, grown, s.probe.saveProfiles(ctx, s.out))
	}
	if usage, err := measure.Process(s.quash.PID()); err == nil {
		fmt.Printf("peak memory %.0f MB\n", float64(usage.Peak)/1e6)
	}
	return errors.Join(append(failures, s.quash.Stop(), checkLog(s.quash.LogPath))...)
}
