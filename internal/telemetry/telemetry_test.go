package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/quashdev/quash/internal/telemetry"
)

// Something is exported exactly where the environment says so.
func TestEnvironment(t *testing.T) {
	const yes, no = true, false
	for _, tt := range []struct {
		name            string
		env             map[string]string // COLLECTOR stands for the collector's URL
		traces, metrics bool
	}{
		{"nothing", nil, no, no},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "COLLECTOR"}, yes, yes},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "COLLECTOR/v1/traces"}, yes, no},
		{"an endpoint for metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "COLLECTOR/v1/metrics"}, no, yes},
		{"none of an endpoint's", map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "COLLECTOR", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none",
		}, no, no},
		{"metrics for Prometheus", map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "COLLECTOR", "OTEL_METRICS_EXPORTER": "prometheus",
		}, yes, no},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "COLLECTOR", "OTEL_SDK_DISABLED": "true"}, no, no},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var traces, metrics atomic.Int64
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v1/traces":
					traces.Add(1)
				case "/v1/metrics":
					metrics.Add(1)
				default:
					http.NotFound(w, r)
				}
			}))
			defer collector.Close()
			for name, value := range tt.env {
				t.Setenv(name, strings.ReplaceAll(value, "COLLECTOR", collector.URL))
			}
			observed, err := telemetry.New(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			_, span := observed.Tracers.Tracer("test").Start(t.Context(), "call")
			span.End()
			counter, err := observed.Meters.Meter("test").Int64Counter("calls")
			if err != nil {
				t.Fatal(err)
			}
			counter.Add(t.Context(), 1)
			scrape := httptest.NewRecorder()
			observed.Metrics.ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			for _, want := range []string{"\ncalls_total 1\n", `service_name="quash",service_version="v1"`, "\ngo_goroutines "} {
				if !strings.Contains(scrape.Body.String(), want) {
					t.Errorf("a scrape has no %q", want)
				}
			}
			observed.Shutdown(t.Context(), slog.New(slog.DiscardHandler))
			if got := traces.Load() > 0; got != tt.traces {
				t.Errorf("traces were exported: %v", got)
			}
			if got := metrics.Load() > 0; got != tt.metrics {
				t.Errorf("metrics were exported: %v", got)
			}
		})
	}
}

// The last spans do not wait for the last metrics: here these wait for them.
func TestShutdownSendsBothAtOnce(t *testing.T) {
	spans := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/v1/traces" {
			close(spans)
			return
		}
		select {
		case <-spans:
		case <-r.Context().Done():
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // spans go when they are told to
	observed, err := telemetry.New(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	_, span := observed.Tracers.Tracer("test").Start(t.Context(), "call")
	span.End()
	var log strings.Builder
	observed.Shutdown(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestBadEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_METRICS_EXPORTER": "otlp,prometheus", "OTEL_RESOURCE_ATTRIBUTES": "no equals sign",
	} {
		t.Run(name, func(t *testing.T) {
			// Nothing is sent there by a start that fails.
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:0")
			t.Setenv(name, value)
			_, err := telemetry.New(t.Context(), "v1")
			if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("New: %v", err)
			}
		})
	}
}

// What operators say of the service goes before what quash says.
func TestResource(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "tokens")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
	observed, err := telemetry.New(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer observed.Shutdown(t.Context(), slog.New(slog.DiscardHandler))
	scrape := httptest.NewRecorder()
	observed.Metrics.ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	const want = `target_info{deployment_environment_name="staging",service_name="tokens",service_version="v1"} 1`
	if !strings.Contains(scrape.Body.String(), want) {
		t.Errorf("a scrape has no %s", want)
	}
}

// The trace context is passed on, and what callers may write freely is not.
func TestPropagator(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	in := propagation.MapCarrier{"traceparent": parent, "tracestate": "a=b", "baggage": "c=d"}
	ctx := telemetry.TraceContext.Extract(t.Context(), in)
	if got := trace.SpanContextFromContext(ctx); got.TraceID().String() != parent[3:35] || got.TraceState().Len() > 0 || !got.IsRemote() {
		t.Errorf("extracted %v", got)
	}
	// One that another propagator read could have more.
	ctx = propagation.TraceContext{}.Extract(context.WithoutCancel(t.Context()), in)
	out := propagation.MapCarrier{}
	telemetry.TraceContext.Inject(ctx, out)
	if len(out) != 1 || out["traceparent"] != parent {
		t.Errorf("injected %v", out)
	}
	if got := telemetry.TraceContext.Extract(t.Context(), propagation.MapCarrier{"traceparent": "00-secret-01"}); trace.SpanContextFromContext(got).IsValid() {
		t.Error("a broken context was taken")
	}
}

func TestTraceIDInLog(t *testing.T) {
	t.Parallel()
	ctx := telemetry.TraceContext.Extract(t.Context(), propagation.MapCarrier{
		"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
	var text strings.Builder
	logger := slog.New(telemetry.WithTraceID(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	})))
	logger.InfoContext(ctx, "one")
	logger.InfoContext(t.Context(), "two")
	logger.With("a", 1).InfoContext(ctx, "three")
	const want = `level=INFO msg=one trace_id=4bf92f3577b34da6a3ce929d0e0e4736
level=INFO msg=two
level=INFO msg=three a=1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736
`
	if text.String() != want {
		t.Errorf("logged\n%s", &text)
	}
}
