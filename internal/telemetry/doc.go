// Package telemetry exports spans and metrics over OTLP, as the standard OTEL_* variables
// configure it, and serves the metrics to Prometheus.
//
//	telemetry.go   New: the providers and their shutdown
//	environment.go the OTEL_* variables that enable an export
//	propagator.go  propagation of the trace context, without tracestate
//	logs.go        the trace id in log lines
//	errors.go      the text of an exporter's error, without credentials
package telemetry
