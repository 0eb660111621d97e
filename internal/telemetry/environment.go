package telemetry

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"
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

// logEndpoint logs where the signal is exported, which is what OpenTelemetry makes of the
// variables. It ignores one that it cannot parse, in favour of its default.
func (s signal) logEndpoint(logger *slog.Logger) {
	if exporter := os.Getenv("OTEL_" + string(s) + "_EXPORTER"); exporter != "" && exporter != "otlp" {
		logger.Info("telemetry export enabled", "signal", s.name(), "exporter", exporter)
		return
	}
	own := "OTEL_EXPORTER_OTLP_" + string(s)
	protocol := cmp.Or(os.Getenv(own+"_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	endpoint := &url.URL{Scheme: "https", Host: "localhost:4318"}
	if protocol == "grpc" {
		endpoint.Host = "localhost:4317"
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", own + "_ENDPOINT"} {
		value := strings.TrimSpace(os.Getenv(variable))
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err == nil {
			endpoint = u
		}
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			logger.Warn("telemetry endpoint cannot be used", "variable", variable, "want", "a URL such as http://collector:4318")
		}
	}
	// The rest of a URL may hold credentials.
	logger.Info("telemetry export enabled", "signal", s.name(), "protocol", protocol, "endpoint", endpoint.Scheme+"://"+endpoint.Host)
}

func (s signal) name() string { return strings.ToLower(string(s)) }
