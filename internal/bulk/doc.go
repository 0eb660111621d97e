// Package bulk revokes the tokens of a list.
//
//	list.go        the lines of the list, and what is known of each token
//	outcome.go     what can become of a token, and what an answer says of it
//	run.go         one run: who is sent when, again and again until all is settled
//	gate.go        pauses, when calls come too fast or nothing gets through
//	journal.go     the file from which the next run goes on
//	key.go         the key that hides the tokens in it
//	lock_*.go      one run at a time
//	report.go      what became of every line, as JSON and for people
//
// The whole list is held in memory. docs/bulk.md says how much that takes, and a list of
// some million tokens fits into any machine that one would do this on.
package bulk
