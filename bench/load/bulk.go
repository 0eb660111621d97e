package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quashdev/quash/bench/internal/quashdev"
)

// leastShare is how many calls a second quash revoke must make for each that ghz makes.
const leastShare = 0.8

// shortList is by how much the list is shorter that memory is compared with.
const shortList = 10

// sampleEvery is how often memory is looked at. What is read is the highest so far, so
// that only what comes after the last look goes unseen.
const sampleEvery = 20 * time.Millisecond

// bulkRun is one run of quash revoke over a list.
type bulkRun struct {
	tokens int
	took   time.Duration // the process from beginning to end: journal and report are in it
	peak   int64         // resident bytes
}

func (r bulkRun) rate() float64 { return float64(r.tokens) / r.took.Seconds() }

// bulkRound is each of them once, in front of the same quash.
type bulkRound struct {
	ghz    float64 // calls a second, as ghz counts them: between its first call and its last
	revoke bulkRun
}

func (r bulkRound) share() float64 { return r.revoke.rate() / r.ghz }

// bulkReport is a whole comparison.
type bulkReport struct {
	rounds []bulkRound
	short  bulkRun // over a list that is shorter
}

// bulk has ghz and quash revoke take turns at a quash.
func bulk(ctx context.Context, p plan, ghz string, quash *quashdev.Process, tmp string, rounds int) (*bulkReport, error) {
	binary, s := filepath.Join(tmp, "quash"), sandboxURL(quash.Sandbox)
	short := p
	short.Total = max(1, p.Total/shortList)
	report := &bulkReport{rounds: make([]bulkRound, rounds)}
	var err error
	// The first calls that a quash gets are slow, whoever makes them.
	if report.short, err = revokeList(ctx, binary, quash.GRPC, s, tmp, short); err != nil {
		return nil, err
	}
	for i := range report.rounds {
		turns := []func() error{
			func() error {
				r, err := call(ctx, p, ghz, quash.GRPC, s)
				if err != nil {
					return err
				}
				report.rounds[i].ghz = r.report.Rate
				return r.verdict
			},
			func() (err error) {
				report.rounds[i].revoke, err = revokeList(ctx, binary, quash.GRPC, s, tmp, p)
				return err
			},
		}
		if i%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return nil, err
			}
		}
	}
	return report, nil
}

// revokeList has quash revoke make the calls of the plan, and fails unless all tokens are
// dead then. The list is gone afterwards.
func revokeList(ctx context.Context, binary, addr string, s sandboxURL, tmp string, p plan) (run bulkRun, err error) {
	tokens, err := s.mint(ctx, p.Total)
	if err != nil {
		return run, fmt.Errorf("mint tokens: %w", err)
	}
	dir, err := os.MkdirTemp(tmp, "list-")
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list := filepath.Join(dir, "tokens")
	var text bytes.Buffer
	for _, t := range tokens {
		text.WriteString(t.text + "\n")
	}
	if err := os.WriteFile(list, text.Bytes(), 0o600); err != nil {
		return run, err
	}
	cmd := exec.CommandContext(ctx, binary, //nolint:gosec // it was built for this
		"revoke", "--addr", addr, "--file", list, "--report", filepath.Join(dir, "report.json"),
		"--concurrency", strconv.Itoa(p.Concurrency), "--consistency", p.named, "--timeout", "120s")
	cmd.Env = []string{} // none of the caller's QUASH_ variables
	run = bulkRun{tokens: p.Total}
	if run.took, run.peak, err = timed(cmd); err != nil {
		return run, fmt.Errorf("quash revoke: %w", err)
	}
	deaths, err := s.deaths(ctx)
	if err != nil {
		return run, fmt.Errorf("ask the sandbox which tokens are dead: %w", err)
	}
	alive := 0
	for _, t := range tokens {
		if _, dead := deaths[t.jti].locally(); !dead {
			alive++
		}
	}
	if alive > 0 {
		return run, fmt.Errorf("quash revoke says that all tokens are dead, and %d are not", alive)
	}
	return run, nil
}

// timed runs a command, and returns how long that took and how much memory it had.
func timed(cmd *exec.Cmd) (took time.Duration, peak int64, err error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(sampleEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			peak = max(peak, highest(cmd.Process.Pid))
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, output.String())
			}
			return time.Since(begun), peak, err
		}
	}
}

var vmHWM = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// highest is the most memory that a process has had, 0 where nobody knows. The rusage of
// a process that has ended would count that of the one which started it.
func highest(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	match := vmHWM.FindSubmatch(status)
	if match == nil {
		return 0
	}
	kibibytes, _ := strconv.ParseInt(string(match[1]), 10, 64)
	return kibibytes << 10
}

// share is the median of the rounds'.
func (r *bulkReport) share() float64 { return median(r.rounds, bulkRound.share) }

// check returns an error unless quash revoke was fast enough.
func (r *bulkReport) check() error {
	if share := r.share(); share < leastShare {
		return fmt.Errorf("quash revoke made %.2f calls for each of ghz, and the bar is %.1f", share, leastShare)
	}
	return nil
}

// write writes the report as Markdown.
func (r *bulkReport) write(w io.Writer) error {
	var out strings.Builder
	out.WriteString("\n| | calls/s, median | in the rounds | peak MB |\n| --- | ---: | ---: | ---: |\n")
	row := func(who string, rate func(bulkRound) float64, peak string) {
		rates := sorted(r.rounds, rate)
		fmt.Fprintf(&out, "| %s | %.0f | %.0f to %.0f | %s |\n", who, median(r.rounds, rate), rates[0], rates[len(rates)-1], peak)
	}
	row("ghz", func(b bulkRound) float64 { return b.ghz }, "")
	row("quash revoke", func(b bulkRound) float64 { return b.revoke.rate() },
		megabytes(median(r.rounds, func(b bulkRound) float64 { return float64(b.revoke.peak) })))
	fmt.Fprintf(&out, "| quash revoke, %d tokens | %.0f | | %s |\n", r.short.tokens, r.short.rate(), megabytes(float64(r.short.peak)))
	verdict := "met"
	if r.check() != nil {
		verdict = "**missed**"
	}
	shares := sorted(r.rounds, bulkRound.share)
	fmt.Fprintf(&out, "\nquash revoke / ghz: %.2f, in the rounds %.2f to %.2f; the bar is %.1f: %s\n",
		r.share(), shares[0], shares[len(shares)-1], leastShare, verdict)
	_, err := io.WriteString(w, out.String())
	return err
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.0f", bytes/1e6) }

func sorted[T any, F cmp.Ordered](all []T, of func(T) F) []F {
	values := make([]F, len(all))
	for i, one := range all {
		values[i] = of(one)
	}
	slices.Sort(values)
	return values
}

// median is the lower one of an even number.
func median[T any, F cmp.Ordered](all []T, of func(T) F) F { return sorted(all, of)[(len(all)-1)/2] }
