// Command quash revokes SlashID user tokens for a company's internal services.
//
//	main.go         from the process to run
//	cli.go          the grammar of the command line, and its errors
//	flags.go        the flags that serve and dev share
//	tls.go          the flags for TLS and for who may call
//	limits.go       the flags that bound what callers can make quash hold
//	files.go        files that are read again when they change, and their metrics
//	facade.go       from the flags to a server
//	configz.go      what the admin listener shows of the flags and the environment
//	liblogs.go      library logs, which are suppressed
//	gc.go           tuning of the garbage collector
//	serve.go        quash serve
//	dev.go          quash dev
//	sandbox.go      quash sandbox, and quash sandbox mint
//	revoke*.go      quash revoke; revoke.go lists them
//	healthcheck.go  quash healthcheck
//	version.go      quash version
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	tuneGC()
	suppressLibraryLogs()
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// A second signal ends the process at once. The default is back before the
		// log says that the shutdown has begun, so no later signal is swallowed.
		signal.Stop(signals)
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
