// Package soak runs quash under mixed load and faults. It fails if an answer is wrong or if
// quash's memory, goroutines or descriptors grow. These are compared in quiet phases only,
// because under load they depend on the load.
//
//	soak.go     the command, and the cycles: load with faults, then a quiet phase
//	load.go     the calls, and the check of their answers
//	faults.go   the faults of a cycle
//	growth.go   measurements in quiet phases, and the check for growth
package soak
