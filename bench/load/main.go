package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var s settings
	flag.StringVar(&s.ghz, "ghz", "", "the ghz to install, as in package@version")
	flag.IntVar(&s.calls, "calls", 0, "how many calls, 1 to 1000000 (default what ghz.json says)")
	flag.IntVar(&s.concurrency, "concurrency", 0, "how many of them at a time (default what ghz.json says)")
	flag.StringVar(&s.consistency, "consistency", "local_region", "what each call asks for: local_region, all_regions, or mixed, for every second call each")
	flag.DurationVar(&s.lag, "lag", 200*time.Millisecond, "how far the sandbox's other regions are behind; a call with all_regions waits for that")
	flag.DurationVar(&s.p99, "p99", 0, "fail when one call in a hundred takes longer (default no limit)")
	flag.IntVar(&s.bulk, "bulk", 0, "compare ghz with quash revoke, in so many rounds, and fail when that is slower by more than a fifth")
	flag.StringVar(&s.out, "out", ".build/load", "the folder for the report and quash's log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so that a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	if err := load(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
