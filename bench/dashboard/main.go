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
	duration := flag.Duration("duration", 90*time.Second, "how long there is load before the questions are asked")
	out := flag.String("out", ".build/dashboard", "the folder for the last scrape and the logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so that a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, *duration, *out, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}
