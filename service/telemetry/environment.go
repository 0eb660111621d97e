package telemetry

import (
	"os"
	"strings"
)

// exports reports whether the environment asks for a signal, TRACES or METRICS, to
// be exported. The specification exports to localhost:4318 unless it is told not to,
// and most machines have nothing there.
func exports(signal string) bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	switch os.Getenv("OTEL_" + signal + "_EXPORTER") {
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
			os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	case "prometheus":
		return false // there is /metrics already
	default:
		return true
	}
}
