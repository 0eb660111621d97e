// Package soak runs quash under mixed load and faults, and fails when an answer is wrong
// or when quash grows. What quash holds is compared in quiet phases only: under load the
// figures are those of the load.
//
//	soak.go      the command; cycles of load and faults, each ended by a quiet phase
//	faults.go    the faults of a cycle
//	callers.go   the load
//	ask.go       one call over one transport, and its answer
//	halfopen.go  connections that never carry a complete request
//	judge.go     whether an answer is true
//	growth.go    what quash holds, and whether that grows
//	log.go       what must not be in quash's log
package soak
