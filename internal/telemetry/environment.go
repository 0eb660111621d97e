package telemetry

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A signal is a part of the names of its environment variables.
type signal string

const (
	traces  signal = "TRACES"
	metrics signal = "METRICS"
)

// wanted reports whether the environment asks to export the signal. Unlike the specification,
// it does not export to localhost:4318 by default: most machines have no collector there.
func (s signal) wanted() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	variable := "OTEL_" + string(s) + "_EXPORTER"
	exporter := os.Getenv(variable)
	exporters := []string{"otlp", "console", "none"}
	if s == metrics {
		exporters = append(exporters, "prometheus")
	}
	switch {
	case exporter == "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
			os.Getenv("OTEL_EXPORTER_OTLP_"+string(s)+"_ENDPOINT") != "", nil
	case !slices.Contains(exporters, exporter):
		return false, fmt.Errorf("%s: must be one of %s, got %q", variable, strings.Join(exporters, ", "), exporter)
	default:
		// Prometheus scrapes /metrics, so nothing needs to be exported.
		return exporter != "prometheus", nil
	}
}
