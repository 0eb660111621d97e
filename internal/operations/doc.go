// Package operations holds together what tells people how quash does: the alert
// rules, the dashboard, the runbook, and the metrics that these are made of.
//
//	files.go      where they are in the repository
//	rules.go      the alert rules, read
//	metrics.go    which metrics and labels there are, says the reference
//	names.go      which metrics and labels a query uses
//	dashboard.go  what the dashboard shows: rows of panels
//	grafana.go    the same as Grafana's JSON
//
// Nothing of it is in quash itself: it is for tests, and for bench/dashboard.
package operations
