// Package measure has statistics, process metrics and tables for compare, load and soak.
//
//	stats.go    medians, percentiles, verdicts
//	process.go  CPU time, memory and descriptors of a process
//	table.go    tables
package measure
