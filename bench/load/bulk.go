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

// The minimum of quash revoke's calls per second, as a ratio to ghz's, and the stretch goal.
const (
	minRatio     = 0.8
	stretchRatio = 0.95
)

// figures are the measurements of ghz or of quash revoke in one round.
type figures struct {
	rate float64 // calls a second
	peak int64   // bytes; of quash revoke only
}

// Bulk runs ghz and quash revoke --file alternately against the same quash, with a number of
// tokens in each round, and returns the section of docs/performance.md. The time of quash revoke
// includes the list, the journal and the report.
//
// The log of quash is written to logPath.
func Bulk(ctx context.Context, quash, ghz, logPath string, tokens, n int) (markdown string, err error) {
	s := session{ghz: ghz, plan: plan{calls: tokens, concurrency: defaultConcurrency, consistency: localRegion}}
	if err := s.start(ctx, quash, logPath); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	byGHZ, byRevoke := make([]figures, n), make([]figures, n)
	clients := []func(round int) error{
		func(round int) error {
			report, err := s.callWithGHZ(ctx)
			if err == nil {
				byGHZ[round].rate = report.Rate
			}
			return err
		},
		func(round int) (err error) {
			byRevoke[round], err = s.revokeList(ctx)
			return err
		},
	}
	if err := clients[1](0); err != nil { // warm-up: the first calls are slow
		return "", err
	}
	for i := range n {
		for j := range clients { // each round starts with the other client
			if err := clients[(i+j)%len(clients)](i); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: ghz %.0f calls/s, quash revoke %.0f\n", i+1, n, byGHZ[i].rate, byRevoke[i].rate)
	}
	rate, peak := func(f figures) float64 { return f.rate }, func(f figures) int64 { return f.peak }
	ratio := measure.Compare(byRevoke, byGHZ, rate)
	t := measure.NewTable("client", "calls/s", "peak MB", "calls/s, ratio to ghz", "range", "target", "", "stretch goal", "")
	t.Add("ghz", fmt.Sprintf("%.0f", measure.Median(byGHZ, rate)), "", "", "", "", "", "", "")
	// The targets are minimums, so the arguments of Verdict are swapped.
	t.Add("quash revoke", fmt.Sprintf("%.0f", measure.Median(byRevoke, rate)), fmt.Sprintf("%.0f", float64(measure.Median(byRevoke, peak))/1e6),
		fmt.Sprintf("%.2f", ratio.Median), ratio.Range(),
		fmt.Sprint(minRatio), measure.Verdict(minRatio, ratio.Median), fmt.Sprint(stretchRatio), measure.Verdict(stretchRatio, ratio.Median))
	return fmt.Sprintf("### Lists of tokens\n`quash revoke --file` and ghz take turns at one quash, which calls the sandbox over HTTP/1.1 with TLS, with\n"+
		"%d calls at a time and a different token in each of %d calls. ghz uses %d connections, quash revoke one. The\n"+
		"time of `quash revoke` includes reading the list and writing the journal and the report; the time of ghz is from\n"+
		"its first call to its last. Figures are medians of %d rounds.\n\n%s",
		s.plan.concurrency, tokens, connections, n, t), nil
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
	p, err := proctest.Start(exec.CommandContext(ctx, s.Binary, //nolint:gosec // the program to test
		"revoke", "--addr", s.GRPC, "--file", list, "--report", filepath.Join(dir, "report.json"),
		"--concurrency", strconv.Itoa(s.plan.concurrency), "--consistency", s.plan.consistency, "--timeout", "120s"))
	if err != nil {
		return f, err
	}
	// Poll the peak while the process runs: /proc forgets it when the process exits, and
	// Maxrss of its state may be that of this process. A peak after the last poll is missed.
	look := time.NewTicker(200 * time.Millisecond)
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
