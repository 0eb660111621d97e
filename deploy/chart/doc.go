// Package chart holds the Helm chart, quash, with the alerts and the dashboard, and tests
// them without a cluster: what the chart renders is what Kubernetes' own types and checks
// accept, and quash serves with it.
//
//	harness_test.go     from values to objects
//	render_test.go      helm lint, and which objects there are
//	refused_test.go     values that are refused
//	pod_test.go         what a pod may do, its files, restarts, time and memory
//	wiring_test.go      selectors, ports and the network policy
//	serve_test.go       quash itself, with a pod's command line
//	monitoring_test.go  alerts, dashboard and runbook
//
// It is a module of its own: Helm, Kubernetes and Prometheus are far larger than quash.
package chart
