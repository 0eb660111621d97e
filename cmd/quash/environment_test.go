package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShownEnvironment(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		// What says how.
		"OTEL_SERVICE_NAME=quash-eu":                   "quash-eu",
		"OTEL_SDK_DISABLED=true":                       "true",
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio": "parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG=0.1":                  "0.1",
		"OTEL_METRICS_EXPORTER=otlp":                   "otlp",
		"OTEL_METRIC_EXPORT_INTERVAL=10000":            "10000",
		"OTEL_BSP_SCHEDULE_DELAY=5000":                 "5000",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc":             "grpc",
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=10000":      "10000",
		"GOMEMLIMIT=200MiB":                            "200MiB",
		"GOMAXPROCS=2":                                 "2",
		"SSL_CERT_FILE=/etc/ssl/ca.pem":                "/etc/ssl/ca.pem",
		"NO_PROXY=localhost,.svc":                      "localhost,.svc",
		"no_proxy=a=b":                                 "a=b",

		// What says where.
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317":                "http://collector:4317",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317/":               "http://collector:4317",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://o.example.com/k3y/v1":  "https://o.example.com [redacted]",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://o.example.com?key=k3": "https://o.example.com [redacted]",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317":                       "[redacted]",
		"OTEL_EXPORTER_OTLP_ENDPOINT=://":                                  "[redacted]",
		"HTTPS_PROXY=http://quash:k3y@proxy:3128":                          "http://proxy:3128 [redacted]",
		"https_proxy=http://proxy:3128":                                    "http://proxy:3128",
		"HTTP_PROXY=quash:k3y@proxy:3128":                                  "[redacted]",

		// What may be a secret, or is not known not to be.
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=k3y":        "[redacted]",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=k3y": "[redacted]",
		"OTEL_EXPORTER_OTLP_CLIENT_KEY=/run/key.pem":          "[redacted]",
		"OTEL_RESOURCE_ATTRIBUTES=owner=me":                   "[redacted]",
		"OTEL_A_NEW_ONE=x":                                    "[redacted]",
		"OTEL_SERVICE_NAME=" + sampleToken:                    "[redacted]",
	} {
		got := shownEnvironment([]string{variable})
		name, _, _ := strings.Cut(variable, "=")
		if diff := cmp.Diff(map[string]string{name: want}, got); diff != "" {
			t.Errorf("%s: %s", variable, diff)
		}
	}
	for _, variable := range []string{"QUASH_UPSTREAM_URL=https://api.slashid.com", "AWS_SECRET_ACCESS_KEY=k3y", "PATH=/bin", "MY_OTEL_SERVICE_NAME=x", "OTEL_LOGS_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=a=b", "OTEL_PROPAGATORS=b3", "GOPATH=/go", "=", ""} {
		if got := shownEnvironment([]string{variable}); len(got) > 0 {
			t.Errorf("%s: %v", variable, got)
		}
	}
}
