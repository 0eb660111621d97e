// Command quash revokes SlashID user tokens for a company's internal services.
//
//	main.go         main, and the signals
//	cli.go          the grammar of the command line, and its errors
//	flags.go        the flags that serve and dev share, and the checks of addresses
//	tls.go          the flags for TLS and for allowed callers
//	limits.go       the flags for limits
//	files.go        files that are reloaded when they change, and their metrics
//	facade.go       builds and runs a server from the flags
//	configz.go      the configuration that the admin listener shows
//	liblogs.go      suppresses the logs of libraries
//	logqueue.go     the queue between the log and standard error
//	gc.go           tunes the garbage collector
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
	hangups := make(chan os.Signal, 1)
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "dev") {
		signal.Notify(hangups, syscall.SIGHUP) // first of all, and to the end: it would end the process
	}
	// A closed log or pipe is an error of the write then, instead of the process's end.
	signal.Ignore(syscall.SIGPIPE)
	tuneGC()
	suppressLibraryLogs()
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// A second signal must end the process at once. Restore the default handling before
		// the log says that the shutdown has begun, so that no later signal is ignored.
		signal.Stop(signals)
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr, hangups}))
}
