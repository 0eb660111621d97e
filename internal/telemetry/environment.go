package telemetry

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A signal is what the names of its variables have in them.
type signal string

const (
	traces  signal = "TRACES"
	metrics signal = "METRICS"
)

// wanted reports whether the environment asks for the signal to be exported. The
// specification exports to localhost:4318 by default, and most machines
// have nothing there.
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
		// There is /metrics for Prometheus already.
		return exporter != "prometheus", nil
	}
}
