// Package measure holds what compare, load and soak share.
//
//	stats.go    medians, percentiles, verdicts
//	process.go  CPU time, memory and descriptors of a process
//	table.go    tables
package measure
