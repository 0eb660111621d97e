package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so that a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == childMark {
		return runChild(ctx, args[1:], os.Stderr)
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	rounds := flags.Int("rounds", 5, "how often everything is measured")
	seconds := flags.Float64("seconds", 3, "how long each measurement takes")
	quash := flags.String("quash", "bin/quash", "the quash to measure")
	baseline := flags.String("baseline", "", "another quash, to compare it with")
	out := flags.String("out", ".build/bench", "the folder for the report and the plots")
	_ = flags.Parse(args)
	builds := []build{{quashName, *quash}}
	if *baseline != "" {
		builds = append(builds, build{baselineName, *baseline})
	}
	return compare(ctx, builds, pace{*rounds, time.Duration(*seconds * float64(time.Second)), 64}, *out)
}

func compare(ctx context.Context, builds []build, p pace, out string) (err error) {
	s, err := newSetup(ctx, builds, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	small, err := compareSmall(ctx, s, p)
	if err != nil {
		return err
	}
	text := small.tables(builds)
	fmt.Println(text)
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // results for everyone to read
		return err
	}
	return os.WriteFile(filepath.Join(out, "report.md"), []byte(text), 0o644) //nolint:gosec // likewise
}
