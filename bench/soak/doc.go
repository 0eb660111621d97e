// Package soak runs quash under mixed load and faults, and fails when an answer is wrong
// or when quash grows. What quash holds is compared in quiet phases only: under load the
// figures are those of the load.
//
//	soak.go     the command; cycles of load and faults, each ended by a quiet phase
//	load.go     the calls, and whether their answers are true
//	faults.go   the faults of a cycle
//	growth.go   what quash holds, and whether that grows
package soak
