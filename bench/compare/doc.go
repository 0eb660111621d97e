// Command compare measures quash beside others that do its work, in front of the same
// stub of SlashID, in one run: see docs/performance.md.
//
//	main.go        from the command line to the exit code
//	run.go         the parts of a run, one after the other
//	setup.go       what a run has from its beginning to its end
//	process.go     a process that serves: started, found, ended
//	proc.go        what a process has used, out of /proc
//	child.go       this binary as one of the small processes, which are:
//	stub.go        the upstream
//	nothing.go     grpc-go doing nothing
//	textbook.go    the façade that one writes in half an hour
//	proxy.go       httputil.ReverseProxy
//	nginx.go       nginx, where it is installed
//	quash.go       quash, with everything on
//	collector.go   where quash's spans go
//	contenders.go  who is compared
//	tokens.go      what calls are made with
//	callers.go     the calls, over gRPC or REST
//	closedloop.go  one call after another
//	openloop.go    calls at fixed times
//	competition.go what calls cost that are answered at once, by who makes them
//	inflight.go    what calls cost that wait
//	added.go       what quash adds to a call's time
//	ready.go       how soon it is there
//	machine.go     where the figures come from
//	stats.go       medians and percentiles
//	verdict.go     the bars, and whether they are met
//	report.go      tables of it all
//	markdown.go    how tables and figures are written
//	plots.go       what is drawn of it
//	figure.go      how
//	write.go       where it all goes
//
// It reads /proc, so it runs on Linux.
package main
