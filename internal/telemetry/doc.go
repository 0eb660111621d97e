// Package telemetry exports spans and metrics: over OTLP as the standard OTEL_*
// variables say, and the metrics to scrapes of Prometheus.
//
//	telemetry.go   New: the providers, and their shutdown
//	environment.go what the OTEL_* variables ask for
//	propagator.go  the trace context, without tracestate
//	logs.go        the trace id on lines of the log
//	errors.go      the text of an exporter's error, without credentials
package telemetry
