// Package chart tests the Helm chart in quash/, its alerts and its dashboard, without a
// cluster: Kubernetes' own types and checks accept what the chart renders, and quash starts
// with the rendered command line.
//
//	harness_test.go     renders the chart and decodes the objects
//	render_test.go      helm lint, and the list of objects
//	refused_test.go     invalid values
//	pod_test.go         pod security, files, restarts, grace period and memory
//	wiring_test.go      selectors, ports and the network policy
//	serve_test.go       runs quash with a pod's command line
//	monitoring_test.go  alerts, dashboard and runbook
//
// It has its own module, because Helm, Kubernetes and Prometheus are far larger than quash.
package chart
