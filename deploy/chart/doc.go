// Package chart tests the Helm chart in the folder quash: that it lints, renders, and
// decodes strictly into the types of Kubernetes' API for each of testdata/values; that
// it refuses what quash would refuse; and that quash serves with what it renders.
//
//	harness_test.go   from values to objects
//	lint_test.go      helm lint
//	objects_test.go   which objects there are
//	wiring_test.go    that they find each other: selectors, names of ports
//	refused_test.go   values that are wrong, and what is said of them
//	values_test.go    that the comments, the schema and the values are of one another
//	shutdown_test.go  that a pod has the time to stop
//	files_test.go     that files which change reach quash
//	security_test.go  what a pod may do, and who may reach it
//	capacity_test.go  memory, and the numbers that autoscaling goes by
//	alerts_test.go    that rules and dashboard are passed on as they are
//	serve_test.go     quash itself, with a pod's command line
//
// It is a module of its own: Helm and Kubernetes are far larger than quash.
package chart
