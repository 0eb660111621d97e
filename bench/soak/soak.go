package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/internal/proctest"
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
	// wantedCycles are enough to tell growth from one bad moment.
	wantedCycles = 6
	// quietTakes is about how long a quiet phase takes.
	quietTakes = 4 * time.Second
)

func newPlan(duration time.Duration) (plan, error) {
	if duration < minDuration {
		return plan{}, fmt.Errorf("-duration %s is too short to tell growth: at least %s", duration, minDuration)
	}
	cycles := max(int(duration/maxCycle), min(wantedCycles, int(duration/(15*time.Second))))
	return plan{
		cycles: cycles,
		load:   duration/time.Duration(cycles) - quietTakes,
		warmUp: max(1, cycles/wantedCycles),
	}, nil
}

// soak is a run.
type soak struct {
	plan     plan
	out      string // the folder for the log and the profiles
	upstream *upstream
	quash    *proctest.Process
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
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // holds no secret
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	// Tokens outlive their cycle, after which the sandbox is asked about them, but not by
	// much: it remembers a revocation as long as its token lives.
	if s.upstream, err = newUpstream(ctx, s.plan.load+2*time.Minute); err != nil {
		return err
	}
	defer s.upstream.close()
	addrs, err := s.startQuash(ctx, tmp)
	if err != nil {
		return err
	}
	defer s.quash.Kill()
	s.probe = newProbe(s.quash.PID(), addrs.Admin)
	if s.load, err = newLoad(addrs, s.upstream); err != nil {
		return err
	}
	fmt.Printf("soaking quash, pid %d: %d cycles of %s under load; its log is %s\n",
		s.quash.PID(), s.plan.cycles, s.plan.load.Round(time.Second), s.logPath())
	err = s.cycles(ctx)
	s.load.close()
	s.probe.close()
	fmt.Printf("\n%s\n%s\n", s.load.tally.table(), growthTable(s.plan.warmUp, s.samples))
	if err != nil {
		return err
	}
	return s.verdict(ctx)
}

func (s *soak) logPath() string { return filepath.Join(s.out, "quash.log") }

// startQuash builds quash and starts it in front of the upstream.
func (s *soak) startQuash(ctx context.Context, tmp string) (addrs proctest.Addrs, err error) {
	binary, err := proctest.Build(ctx, tmp)
	if err != nil {
		return addrs, err
	}
	ca, key := filepath.Join(tmp, "ca.pem"), filepath.Join(tmp, "api-key")
	if err := errors.Join(os.WriteFile(ca, s.upstream.authority, 0o600), os.WriteFile(key, []byte(sandbox.DefaultAPIKey), 0o600)); err != nil {
		return addrs, err
	}
	log, err := os.Create(s.logPath())
	if err != nil {
		return addrs, err
	}
	// Not bound to ctx, so that an interrupted run kills quash only after the load.
	cmd := exec.Command(binary, "serve", //nolint:gosec,noctx // the program that was just built
		"--upstream-url", "https://"+s.upstream.addr, "--upstream-ca-file", ca, "--upstream-api-key-file", key,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--drain-delay", "0s")
	cmd.Env = []string{"GODEBUG=memprofilerate=4096"} // for profiles that show small leaks
	cmd.Stderr = log
	if s.quash, err = proctest.Start(cmd); err != nil {
		return addrs, err
	}
	if addrs, err = s.quash.Addrs(); err != nil {
		s.quash.Kill()
	}
	return addrs, err
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
			return fmt.Errorf("quash ended by itself, with %s; %s may say why", s.quash.State(), s.logPath())
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
	err := s.upstream.misbehave(ctx, s.plan.load)
	if err != nil {
		stopLoad()
	}
	running.Wait()
	if err != nil {
		return err
	}
	return s.quiet(ctx)
}

// quiet measures once nothing moves any more. The callers have ended already. The
// upstream closes its connections, and speaks the other version of HTTP from now on; what
// callers were told is checked once more.
func (s *soak) quiet(ctx context.Context) error {
	if err := s.probe.awaitIdle(ctx); err != nil {
		return err
	}
	if err := s.upstream.swap(ctx); err != nil {
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
	if err := s.quash.Stop(); err != nil { // its text would be the whole log
		failures = append(failures, fmt.Errorf("quash was idle, but did not stop in order; see %s", s.logPath()))
	}
	return errors.Join(append(failures, checkLog(s.logPath()))...)
}
