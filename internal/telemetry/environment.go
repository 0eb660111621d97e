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
	exporter := os.Getenv(s.exporterVariable())
	exporters := []string{"otlp", "console", "none"}
	if s == metrics {
		exporters = append(exporters, "prometheus")
	}
	switch {
	case exporter == "":
		return s.otlp("ENDPOINT") != "", nil
	case !slices.Contains(exporters, exporter):
		return false, fmt.Errorf("%s: must be one of %s, got %q", s.exporterVariable(), strings.Join(exporters, ", "), exporter)
	default:
		// Prometheus scrapes /metrics, so nothing needs to be exported.
		return exporter != "prometheus", nil
	}
}

// logEndpoint logs where the signal is exported, which is what OpenTelemetry makes of the
// variables: it ignores one that it cannot parse, and uses TLS unless the URL says http.
func (s signal) logEndpoint(logger *slog.Logger) {
	switch exporter := os.Getenv(s.exporterVariable()); exporter {
	case "", "otlp":
	case "none":
		return
	default:
		logger.Info("telemetry export enabled", "signal", s.name(), "exporter", exporter)
		return
	}
	protocol := cmp.Or(s.otlp("PROTOCOL"), "http/protobuf")
	endpoint := "https://localhost:4318"
	if protocol == "grpc" {
		endpoint = "https://localhost:4317"
		if strings.EqualFold(s.otlp("INSECURE"), "true") {
			endpoint = "http://localhost:4317"
		}
	}
	general, own := s.otlpVariables("ENDPOINT")
	for _, variable := range []string{general, own} { // the second takes precedence
		value := strings.TrimSpace(os.Getenv(variable))
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		switch {
		case err != nil: // ignored
		case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
			endpoint = u.Scheme + "://" + u.Host // the rest may hold credentials
			continue
		case protocol == "grpc": // a target of gRPC, which may hold anything
			endpoint = "a gRPC target that is not a URL"
			continue
		case u.Host == "":
			endpoint = "none"
		default:
			endpoint = "https://" + u.Host
		}
		logger.Warn("telemetry endpoint is not a URL such as http://collector:4318", "variable", variable)
	}
	logger.Info("telemetry export enabled", "signal", s.name(), "protocol", protocol, "endpoint", endpoint)
}

func (s signal) name() string { return strings.ToLower(string(s)) }

func (s signal) exporterVariable() string { return "OTEL_" + string(s) + "_EXPORTER" }

// otlpVariables returns the variables of a setting: for all signals, and for this one.
func (s signal) otlpVariables(setting string) (general, own string) {
	const prefix = "OTEL_EXPORTER_OTLP_"
	return prefix + setting, prefix + string(s) + "_" + setting
}

// otlp returns a setting; the signal's own variable takes precedence.
func (s signal) otlp(setting string) string {
	general, own := s.otlpVariables(setting)
	return cmp.Or(os.Getenv(own), os.Getenv(general))
}
