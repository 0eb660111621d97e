// Command bench measures quash.
//
//	bench compare   compares quash with alternatives: docs/performance.md
//	bench load      runs ghz, and fails unless every call was OK: docs/load.md
//	bench soak      looks for growth and wrong answers under load and faults
//
// Each subcommand is a package. They share calls, which makes calls to quash; testbed, which
// runs quash in front of a sandbox; and measure: statistics, /proc, tables. The program needs
// Linux. The Makefile shows how to use each subcommand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/quashdev/quash/bench/compare"
	"github.com/quashdev/quash/bench/load"
	"github.com/quashdev/quash/bench/soak"
)

var commands = map[string]func(ctx context.Context, args []string) error{
	"compare":   compare.Command,
	"contender": compare.Serve, // compare starts it
	"load":      load.Command,
	"soak":      soak.Command,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal terminates the process at once
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench compare|load|soak [flags]; -help lists the flags of each")
		os.Exit(2)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
