// Command dashboard asks a real Prometheus, which scrapes a real quash under load, every
// query of the dashboard and every series of the alerts, and fails on what it has no
// answer for: a picture that stays empty looks like one of a quiet day.
//
//	main.go          from the command line to the exit code
//	run.go           the whole of a run
//	certificates.go  the certificates that it serves, one after the other
//	load.go          calls over all doors
//	faults.go        what goes wrong meanwhile
//	prometheus.go    Prometheus: started, asked, stopped
//	scrape.go        what quash tells Prometheus
//	questions.go     what is asked
//	report.go        what came back
package main
