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

// figures are those of ghz or of quash revoke in one round.
type figures struct {
	rate float64 // calls a second
	peak int64   // bytes; of quash revoke only
}

// bulk has ghz and quash revoke --file take turns at the same quash. What quash revoke
// does apart from the calls is in its time: the list, the journal, the report.
func (s *session) bulk(ctx context.Context, n int) error {
	if _, err := s.revokeList(ctx); err != nil { // the warm-up: first calls are slow
		return err
	}
	ghz, revoke := make([]figures, n), make([]figures, n)
	for i := range n {
		report, err := s.callWithGHZ(ctx)
		if err != nil {
			return err
		}
		ghz[i].rate = report.Rate
		if revoke[i], err = s.revokeList(ctx); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: ghz %.0f calls/s, quash revoke %.0f\n", i+1, n, ghz[i].rate, revoke[i].rate)
	}
	rate, peak := func(f figures) float64 { return f.rate }, func(f figures) int64 { return f.peak }
	t := measure.NewTable("", "calls/s, median", "peak MB")
	t.Add("ghz", fmt.Sprintf("%.0f", measure.Median(ghz, rate)), "")
	t.Add("quash revoke", fmt.Sprintf("%.0f", measure.Median(revoke, rate)), fmt.Sprintf("%.0f", float64(measure.Median(revoke, peak))/1e6))
	ratio := measure.Compare(revoke, ghz, rate)
	fmt.Printf("%s\nquash revoke / ghz: %.2f, in the rounds %s; target %.1f\n", t, ratio.Median, ratio.Range(), leastRatio)
	if ratio.Median < leastRatio {
		return fmt.Errorf("quash revoke makes %.2f calls for each of ghz, less than %.1f", ratio.Median, leastRatio)
	}
	return nil
}

// revokeList has quash revoke make the calls of the plan, and fails unless all tokens are
// dead then.
func (s *session) revokeList(ctx context.Context) (f figures, err error) {
	tokens, err := s.mint()
	if err != nil {
		return f, err
	}
	dir, err := os.MkdirTemp(s.Tmp, "list-")
	if err != nil {
		return f, err
	}
	list := filepath.Join(dir, "tokens")
	if err := os.WriteFile(list, []byte(strings.Join(tokens, "\n")+"\n"), 0o600); err != nil {
		return f, err
	}
	begun := time.Now()
	p, err := proctest.Start(exec.CommandContext(ctx, s.Binary, //nolint:gosec // it was built for this
		"revoke", "--addr", s.GRPC, "--file", list, "--report", filepath.Join(dir, "report.json"),
		"--concurrency", strconv.Itoa(s.plan.concurrency), "--consistency", s.plan.consistency, "--timeout", "120s"))
	if err != nil {
		return f, err
	}
	// The kernel forgets the peak with the process, and Maxrss of its state may be that of
	// this process. What comes after the last look goes unseen.
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for running := true; running; {
		select {
		case <-look.C:
			if usage, err := measure.Process(p.PID()); err == nil {
				f.peak = usage.Peak
			}
		case <-p.Done():
			running = false
		}
	}
	f.rate = float64(len(tokens)) / time.Since(begun).Seconds()
	if !p.State().Success() {
		return f, errors.New(p.String())
	}
	return f, s.checkDead(tokens)
}
