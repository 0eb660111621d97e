package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/quashdev/quash/bench/internal/quashdev"
)

// settings are what a run can be told.
type settings struct {
	ghz         string // the package to install, with its version
	calls       int    // 0: what ghz.json says
	concurrency int    // 0: what ghz.json says
	consistency string
	lag         time.Duration
	p99         time.Duration // 0: any
	bulk        int           // rounds beside quash revoke; 0: none
	out         string
}

var errInterrupted = errors.New("interrupted: no verdict")

// load runs everything, writes what there is to see into the folder s.out and to w, and
// returns why the run failed.
func load(ctx context.Context, s settings, w io.Writer) (err error) {
	plan, err := newPlan(s)
	if err == nil && s.bulk > 0 && plan.named != "local_region" {
		err = errors.New("-bulk compares calls for the local region only")
	}
	if err != nil {
		return err
	}
	page, log := filepath.Join(s.out, "report.html"), filepath.Join(s.out, "quash.log")
	if err := errors.Join(os.MkdirAll(s.out, 0o755), os.RemoveAll(page)); err != nil { //nolint:gosec // holds no secret
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	defer func() {
		if ctx.Err() != nil {
			err = errInterrupted // whatever came of that
		}
	}()
	ghz, err := installGHZ(ctx, tmp, s.ghz)
	if err != nil {
		return err
	}
	quash, err := quashdev.Start(ctx, tmp, log, "--replication-lag", s.lag.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, quash.Stop()) }()

	fmt.Fprintf(w, "quash serves gRPC on %s, its sandbox %s\n%s\n", quash.GRPC, quash.Sandbox, plan)
	if s.bulk > 0 {
		report, err := bulk(ctx, plan, ghz, quash, tmp, s.bulk)
		if err != nil {
			return err
		}
		return errors.Join(report.write(w), report.check())
	}
	result, err := call(ctx, plan, ghz, quash.GRPC, sandboxURL(quash.Sandbox))
	if err != nil {
		return err
	}
	if err := writePage(page, result); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\nThe report is %s, quash's log %s.\n", result.report.summary(), page, log)
	return result.verdict
}

// result is what there is to say of a run.
type result struct {
	plan    plan
	report  *report
	verdict error // nil: passed
}

// call has ghz make the calls of the plan to the quash at addr, and checks what came of
// them against what the sandbox behind it knows.
func call(ctx context.Context, p plan, ghz, addr string, s sandboxURL) (*result, error) {
	tokens, err := s.mint(ctx, p.Total)
	if err != nil {
		return nil, fmt.Errorf("mint tokens: %w", err)
	}
	calls, err := p.encode(tokens)
	if err != nil {
		return nil, err
	}
	report, err := runGHZ(ctx, p, ghz, addr, calls)
	if err != nil {
		return nil, err
	}
	deaths, err := s.deaths(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the sandbox which tokens are dead: %w", err)
	}
	return &result{p, report, errors.Join(
		p.checkReport(report),
		p.checkTruth(report, tokens, deaths),
	)}, nil
}
