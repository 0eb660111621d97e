// Package telemetry is where spans and metrics go: the standard OTEL_* variables say
// where to over OTLP, and Prometheus comes for the metrics by itself.
//
//	telemetry.go   New: the providers, and what ends them
//	environment.go what the OTEL_* variables ask for
//	propagator.go  the trace context, as far as it is passed on
//	logs.go        the trace id on lines of the log
//	errors.go      what the log is told of exporters that fail
package telemetry
