// Package journal keeps on disk what has been done with each line of a list of tokens,
// so that a run that was killed can be gone on with, and its report has every line.
//
//	journal.go     what a run calls: Begin, Sending, Record
//	open.go        opening and closing
//	header.go      what a journal begins with
//	record.go      what it has of a line
//	result.go      what may become of a line
//	results.go     all lines, and how many there are of a kind
//	index.go       which line had a token first
//	key.go         the key that hides the tokens
//	lock_unix.go   one run at a time
//	lock_windows.go
//
// A journal has a record of 32 bytes for each line, at a place that follows from the
// line's number. So one write changes a record, nothing has to be kept in memory, and a
// process that is killed leaves each record as it was before a write or as it is after
// it. What has been written reaches the disk within a second or so, and at Close. When
// the power fails before that, the lines of that second may be sent again, which does
// no harm; records that have been damaged say that the line may have been sent.
//
// The records have no tokens. They have keyed hashes, which tell nothing without the
// key, and the key is in a file of its own.
package journal
