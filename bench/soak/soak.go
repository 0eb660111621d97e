package soak

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/sandbox"
)

// plan is the schedule of a run. Each cycle has load, during which all faults happen, and then
// a quiet phase.
type plan struct {
	cycles int
	load   time.Duration // of a cycle
	warmUp int           // cycles that are not compared, because caches fill in them
}

const (
	minDuration = time.Minute
	maxCycle    = 90 * time.Second
	minCycles   = 4               // enough to distinguish growth from a disturbance
	quietTakes  = 4 * time.Second // about
)

func newPlan(duration time.Duration) (plan, error) {
	if duration < minDuration {
		return plan{}, fmt.Errorf("-duration %s is too short to measure growth: set at least %s", duration, minDuration)
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
	*testbed.Testbed

	plan    plan
	probe   *probe
	samples []held         // of quiet phases
	counts  map[string]int // of answers
}

// Command runs the subcommand.
func Command(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	duration := flags.Duration("duration", 30*time.Minute, "approximate duration of the run; at least 1m")
	out := flags.String("out", ".build/soak", "directory for quash's log and its last profiles")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &soak{counts: map[string]int{}}
	if s.plan, err = newPlan(*duration); err != nil {
		return err
	}
	s.Testbed, err = testbed.Start(ctx, "", sandbox.Config{
		Regions:        []string{"us-east", "eu-west", remoteRegion},
		ReplicationLag: replicationLag,
		// Tokens must outlive their cycle, because the sandbox is queried after it. They
		// should not live much longer, because the sandbox stores each revocation until its
		// token expires.
		TokenLifetime: s.plan.load + 2*time.Minute,
	}, filepath.Join(*out, "quash.log"), "GODEBUG=memprofilerate=4096") // so that profiles show small leaks
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.probe = newProbe(s.Quash.PID(), s.Admin, *out)
	fmt.Printf("soaking quash, pid %d: %d cycles of %s under load; its log is %s\n",
		s.Quash.PID(), s.plan.cycles, s.plan.load.Round(time.Second), s.Log)
	err = s.cycles(ctx)
	table, grown := growth(s.plan.warmUp, s.samples)
	fmt.Printf("\n%s\n%s\n", s.table(), table)
	if err != nil {
		return errors.Join(err, checkLog(s.Log)) // shows whether quash crashed
	}
	s.probe.client.CloseIdleConnections()
	return errors.Join(grown, s.missing(), s.StopQuash(), checkLog(s.Log))
}

// cycles runs the plan. It ends early if an answer is wrong.
func (s *soak) cycles(ctx context.Context) error {
	if err := s.quiet(ctx); err != nil {
		return err
	}
	for i := range s.plan.cycles {
		if err := s.cycle(ctx); err != nil {
			return err
		}
		h := s.samples[len(s.samples)-1]
		fmt.Printf("cycle %d of %d: %g goroutines, %g descriptors, %.4g MiB of heap\n", i+1, s.plan.cycles, h[0], h[1], h[2])
	}
	return s.quiet(ctx) // again, without load in between: see growth
}

// cycle causes all faults under load and measures in the quiet phase after it. Then no
// revocation is in progress, and it checks the answers.
func (s *soak) cycle(ctx context.Context) error {
	faults := make(chan error, 1)
	go func() { faults <- misbehave(ctx, s.Testbed, s.plan.load) }()
	answers, err := s.load(ctx)
	if err := errors.Join(err, <-faults, ctx.Err()); err != nil {
		return err
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	return s.judge(answers)
}

// quiet waits until the revocations of disconnected callers have ended, and takes a sample. In
// between it restarts the upstream, which closes all connections and switches the upstream
// between HTTP/1.1 and HTTP/2 for the next cycle.
func (s *soak) quiet(ctx context.Context) error {
	if err := s.probe.settle(ctx); err != nil {
		return err
	}
	s.Down()
	s.HTTP2 = !s.HTTP2
	if err := s.Up(ctx); err != nil {
		return err
	}
	if err := s.probe.settle(ctx); err != nil {
		return err
	}
	sample, err := s.probe.sample(ctx)
	s.samples = append(s.samples, sample)
	return err
}

// table counts the answers of the run.
func (s *soak) table() string {
	t := measure.NewTable("answer", "calls")
	for _, label := range slices.Sorted(maps.Keys(s.counts)) {
		t.Add(label, strconv.Itoa(s.counts[label]))
	}
	return t.String()
}

// missing returns an error if one of the reasons did not occur.
func (s *soak) missing() error {
	left := slices.Clone(reasons)
	for label := range s.counts {
		reason, _, _ := strings.Cut(label, " ")
		left = slices.DeleteFunc(left, func(r string) bool { return r == reason })
	}
	if len(left) > 0 {
		return fmt.Errorf("the faults did not cause every expected reason: no call failed with %s", strings.Join(left, ", "))
	}
	return nil
}

// checkLog fails if quash's log contains an error, a token, or a line that is not JSON, such as
// those of a crash.
func checkLog(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		switch {
		case !bytes.HasPrefix(line, []byte("{")):
			return fmt.Errorf("%s:%d is not a log line in JSON", path, n)
		case bytes.Contains(line, []byte(`"level":"ERROR"`)):
			return fmt.Errorf("%s:%d has level ERROR", path, n)
		case bytes.Contains(line, []byte("eyJ")): // the start of every JWT
			return fmt.Errorf("%s:%d contains a token", path, n)
		}
	}
	return nil
}
