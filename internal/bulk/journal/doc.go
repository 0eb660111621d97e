// Package journal keeps on disk what has been done with each line of a list of tokens,
// so that a run that was killed can be gone on with, and a report has every line.
//
//	journal.go   Open, Begin, Sending, Record and the rest of what a run calls
//	result.go    what may become of a line
package journal
