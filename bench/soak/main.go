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
	duration := flag.Duration("duration", 30*time.Minute, "how long the whole run takes, about")
	out := flag.String("out", ".build/soak", "the folder for the graph, the samples, the profiles and quash's log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so that a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	if err := soak(ctx, *duration, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}
