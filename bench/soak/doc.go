// Command soak runs a real quash for long, under calls of every kind and faults of
// every kind, and fails when an answer is outside the outcome table or when
// anything of quash grows. See [plan] for how a run goes, and [verdictOn] for what
// counts as growth.
//
//	main.go       from the command line to the exit code
//	run.go        the whole of a run: cycles of load, each ended by quiet
//	plan.go       how long what takes
//	phases.go     the faults of a cycle, one after another
//	upstream.go   the sandbox behind a listener that can go away
//	process.go    quash itself: built, started, stopped, its log read
//	load.go       the callers: which calls, and how often
//	callers.go    each kind of call
//	ask.go        one call through one door, and what came back
//	halfopen.go   connections that do not get as far as a call
//	outcomes.go   docs/outcomes.md as data
//	judge.go      whether an answer may be, and is true
//	measures.go   what is measured, how, and what it may come to
//	profiles.go   what shows where it comes from
//	verdict.go    why a run failed
//	tally.go      how many calls came to what
//	report.go     what is printed, and the samples as CSV
//	graph.go      the samples as SVG
//
// It reads /proc, so it runs on Linux.
package main
