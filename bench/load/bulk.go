package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/internal/proctest"
)

// leastRatio is how many calls a second quash revoke must make for each that ghz makes.
const leastRatio = 0.8

// round is each of the two once.
type round struct {
	ghz, revoke float64 // calls a second
	peak        int64   // bytes that quash revoke takes
}

// bulk has ghz and quash revoke --file take turns at the same quash. What quash revoke
// does apart from the calls is in its time: the list, the journal, the report.
func (s *session) bulk(ctx context.Context, n int) error {
	if _, err := s.revokeList(ctx, &round{}); err != nil { // the warm-up: first calls are slow
		return err
	}
	rounds := make([]round, n)
	for i := range rounds {
		r := &rounds[i]
		report, verdict, err := s.callWithGHZ(ctx)
		if err := errors.Join(err, verdict); err != nil {
			return err
		}
		r.ghz = report.Rate
		if r.revoke, err = s.revokeList(ctx, r); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: ghz %.0f calls/s, quash revoke %.0f\n", i+1, n, r.ghz, r.revoke)
	}
	t := measure.NewTable("", "calls/s, median", "peak MB")
	t.Add("ghz", fmt.Sprintf("%.0f", measure.Median(rounds, func(r round) float64 { return r.ghz })), "")
	t.Add("quash revoke", fmt.Sprintf("%.0f", measure.Median(rounds, func(r round) float64 { return r.revoke })),
		fmt.Sprintf("%.0f", float64(measure.Median(rounds, func(r round) int64 { return r.peak }))/1e6))
	ghz, revoke := make([]float64, n), make([]float64, n)
	for i, r := range rounds {
		ghz[i], revoke[i] = r.ghz, r.revoke
	}
	ratio := measure.Compare(revoke, ghz, func(rate float64) float64 { return rate })
	fmt.Printf("%s\nquash revoke / ghz: %.2f, in the rounds %s; target %.1f\n", t, ratio.Median, ratio.Range(), leastRatio)
	if ratio.Median < leastRatio {
		return fmt.Errorf("quash revoke makes %.2f calls for each of ghz, less than %.1f", ratio.Median, leastRatio)
	}
	return nil
}

// revokeList has quash revoke make the calls of the plan, and fails unless all tokens are
// dead then.
func (s *session) revokeList(ctx context.Context, r *round) (rate float64, err error) {
	tokens, err := s.mint()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(s.tmp, "list-")
	if err != nil {
		return 0, err
	}
	list := filepath.Join(dir, "tokens")
	if err := os.WriteFile(list, []byte(strings.Join(tokens, "\n")+"\n"), 0o600); err != nil {
		return 0, err
	}
	consistency := "local_region"
	if s.plan.allRegions {
		consistency = "all_regions"
	}
	begun := time.Now()
	p, err := proctest.Start(exec.CommandContext(ctx, s.quash.Binary, //nolint:gosec // it was built for this
		"revoke", "--addr", s.quash.GRPC, "--file", list, "--report", filepath.Join(dir, "report.json"),
		"--concurrency", strconv.Itoa(s.plan.Concurrency), "--consistency", consistency, "--timeout", "120s"))
	if err != nil {
		return 0, err
	}
	// The kernel forgets the peak with the process. What comes after the last look goes
	// unseen.
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for running := true; running; {
		select {
		case <-look.C:
			if usage, err := measure.Process(p.PID()); err == nil {
				r.peak = usage.Peak
			}
		case <-p.Done():
			running = false
		}
	}
	took := time.Since(begun)
	if !p.State().Success() {
		return 0, fmt.Errorf("quash revoke: %s\n%s", p.State(), p)
	}
	return float64(len(tokens)) / took.Seconds(), s.checkDead(tokens)
}
