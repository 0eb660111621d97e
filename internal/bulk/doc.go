// Package bulk revokes the tokens of a list.
//
//	list.go        the lines of the list, with the result of each token
//	outcome.go     the outcomes of a token, and what an answer means for them
//	run.go         one run: sends the tokens, and retries until all are settled
//	gate.go        pauses, after rate limiting and during an outage
//	journal.go     the file from which the next run resumes
//	key.go         the key for the hashes of tokens in the journal
//	lock_*.go      locks the journal for one run at a time
//	report.go      the result of every line, as JSON and as text
//
// A run keeps the whole list in memory. docs/bulk.md says how much that takes. A list of some
// million tokens fits into the memory of any usual machine.
package bulk
