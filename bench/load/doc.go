// Command load has ghz call a quash of its own, as people do, each call with a token of
// its own, and fails unless every call was OK and told the truth: ghz itself succeeds
// also when no call did.
//
//	ghz.json      what ghz does; for people too, see docs/load.md
//	main.go       from the command line to the exit code
//	run.go        the whole of a run
//	calls.go      the calls that ghz is to make
//	ghz.go        ghz: configured, installed, run
//	sandbox.go    tokens from the sandbox, and when they were dead
//	bulk.go       quash revoke beside it
//	report.go     what ghz reports, and the summary of it
//	check.go      why a run failed
//	page.go       the report as a page, made from page.html
package main
