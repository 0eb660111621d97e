package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so that a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	if err := begin(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// begin is the harness or, for it, one of the children.
func begin(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == childMark {
		return runChild(ctx, args[1:], os.Stderr)
	}
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return o.run(ctx, os.Stdout)
}

// options are the command line.
type options struct {
	builds []build
	pace   pace
	hold   time.Duration
	only   string // a part, or empty for all
	out    string
	update bool
}

func parseOptions(args []string) (o options, err error) {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.pace.rounds, "rounds", 5, "how often everything is measured; half as often what takes long")
	seconds := flags.Float64("seconds", 3, "how long each measurement takes, or some multiple")
	flags.DurationVar(&o.hold, "hold", 8*time.Second, "how long the upstream keeps calls waiting that are to be in flight")
	flags.StringVar(&o.only, "only", "", "measure nothing but one of "+strings.Join(names, ", "))
	quash := flags.String("quash", "bin/quash", "the quash to measure")
	baseline := flags.String("baseline", "", "another quash, to compare it with")
	flags.StringVar(&o.out, "out", ".build/bench", "the folder for report.md and the plots")
	flags.BoolVar(&o.update, "update", false, "write the tables into "+document+" as well, and the plots beside it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.pace.lasts = time.Duration(*seconds * float64(time.Second))
	o.builds = []build{{quashName, *quash}}
	if *baseline != "" {
		o.builds = append(o.builds, build{baselineName, *baseline})
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	case o.pace.rounds < 1 || o.pace.lasts <= 0:
		return o, errors.New("-rounds and -seconds must be more than 0")
	case o.only != "" && !slices.Contains(names, o.only):
		return o, fmt.Errorf("-only: there is no part %q", o.only)
	case o.update && (o.only != "" || *baseline != ""):
		return o, fmt.Errorf("-update: %s holds whole runs of one quash", document)
	}
	return o, nil
}
