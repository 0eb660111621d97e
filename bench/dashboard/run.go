package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quashdev/quash/bench/internal/quashdev"
)

// fewInFlight is a limit of quash's that the load reaches now and then.
const fewInFlight = "40"

// run puts quash under load for so long, and then asks Prometheus everything while the
// load goes on.
func run(ctx context.Context, duration time.Duration, out string, w io.Writer) (err error) {
	questions, err := readQuestions()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "quash-dashboard-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // results for everyone to read
		return err
	}
	authority, err := newAuthority(tmp)
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	q, err := quashdev.Start(ctx, tmp, filepath.Join(out, "quash.log"), "--max-in-flight", fewInFlight,
		"--tls-cert-file", authority.certFile, "--tls-key-file", authority.keyFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Stop()) }()
	p, err := startPrometheus(ctx, tmp, out, q.Admin)
	if err != nil {
		return err
	}
	defer p.stop()

	fmt.Fprintf(w, "quash is under load for %s\n", duration)
	loading, stopLoad := context.WithCancel(ctx)
	var running sync.WaitGroup
	load, err := newLoad(q, authority)
	if err != nil {
		stopLoad()
		return err
	}
	defer load.close()
	running.Go(func() { load.run(loading) })
	running.Go(func() { goWrong(loading, q, authority, duration) })
	defer running.Wait()
	defer stopLoad()
	pause(ctx, duration)
	if ctx.Err() != nil {
		return ctx.Err()
	}

	answers, err := p.answer(ctx, questions)
	if err != nil {
		return err
	}
	alerts, err := p.alerts(ctx)
	if err != nil {
		return err
	}
	if err := saveScrape(ctx, q.Admin, filepath.Join(out, "metrics.txt")); err != nil {
		return err
	}
	fmt.Fprintf(w, "Alerts that waited or fired: %s\n", strings.Join(alerts, ", "))
	return report(w, answers)
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
