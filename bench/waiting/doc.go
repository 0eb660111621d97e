// Command waiting measures what calls that wait cost quash: it starts a quash with TLS
// on both sides, holds so many calls at an upstream that does not answer, and reads what
// quash has then. docs/scaling.md has its figures.
//
//	main.go         from the command line to the table
//	upstream.go     an upstream that keeps requests waiting
//	certificate.go  what both sides show
//	quash.go        quash itself: built, started, ended
//	callers.go      the calls, over gRPC or REST
//	measure.go      what quash has
//
// It reads /proc, so it runs on Linux.
package main
