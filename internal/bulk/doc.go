// Package bulk revokes the tokens of a list, of any length, in little memory.
//
//	runner.go    one run: what is asked about when, and what is made of the answers
//	answer.go    what an answer says of the token
//	waiting.go   the lines that are to be asked about again
//	gate.go      pauses, when calls come too fast or nothing gets through
//	groups.go    the lines by what became of them
//	report.go    the report of that, as JSON and for people
//
// tokenlist reads the list, journal keeps on disk what became of each line.
package bulk
