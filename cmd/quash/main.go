// Command quash revokes SlashID user tokens for a company's internal services.
//
//	main.go         from the process to run
//	cli.go          the grammar, and what is said of a wrong command line
//	flags.go        the flags that serve and dev share, and their checks
//	tls.go          those of them that say who may call
//	limits.go       those that bound what callers can make quash hold
//	configz.go      what the admin listener shows of the flags
//	environment.go  and of the variables that are no flag's
//	watch.go        files that are read again when they change
//	collections.go  how often garbage is collected
//	withhold.go     what libraries log by themselves
//	serve.go        quash serve
//	dev.go          quash dev
//	sandbox.go      quash sandbox
//	mint.go         quash sandbox mint
//	revoke*.go      quash revoke, which revoke.go has the map of
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
	collectRarely()
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// A second signal ends the process at once. The default is back before the
		// log says that the end has begun, so that no signal after that is swallowed.
		signal.Stop(signals)
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
