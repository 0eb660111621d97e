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

// minRatio is the minimum ratio of quash revoke's calls per second to ghz's.
const minRatio = 0.8

// figures are the measurements of ghz or of quash revoke in one round.
type figures struct {
	rate float64 // calls a second
	peak int64   // bytes; of quash revoke only
}

// bulk runs ghz and quash revoke --file alternately against the same quash. The time of quash
// revoke includes the list, the journal and the report.
func (s *session) bulk(ctx context.Context, n int) error {
	if _, err := s.revokeList(ctx); err != nil { // warm-up: the first calls are slow
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
	fmt.Printf("%s\nquash revoke / ghz: median %.2f, range %s; target: at least %.1f\n", t, ratio.Median, ratio.Range(), minRatio)
	if ratio.Median < minRatio {
		return fmt.Errorf("quash revoke / ghz is %.2f, below the target of %.1f", ratio.Median, minRatio)
	}
	return nil
}

// revokeList runs quash revoke with the calls of the plan. It fails unless all tokens are dead
// afterwards.
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
	p, err := proctest.Start(exec.CommandContext(ctx, s.Binary, //nolint:gosec // built by testbed
		"revoke", "--addr", s.GRPC, "--file", list, "--report", filepath.Join(dir, "report.json"),
		"--concurrency", strconv.Itoa(s.plan.concurrency), "--consistency", s.plan.consistency, "--timeout", "120s"))
	if err != nil {
		return f, err
	}
	// Poll the peak while the process runs: /proc forgets it when the process exits, and
	// Maxrss of its state may be that of this process. A peak after the last poll is missed.
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
