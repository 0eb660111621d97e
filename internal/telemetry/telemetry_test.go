package telemetry_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quashdev/quash/internal/telemetry"
)

// export sets the variables, and makes a span and a measurement. It returns a scrape, and the
// log of the export at shutdown.
func export(t *testing.T, env map[string]string) (scrape, log string) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	observed, err := telemetry.New(t.Context(), "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := observed.Tracers.Tracer("test").Start(t.Context(), "call")
	span.End()
	waited, err := observed.Meters.Meter("test").Float64Histogram("quash.consistency.wait")
	if err != nil {
		t.Fatal(err)
	}
	waited.Record(t.Context(), 119)
	scraped := httptest.NewRecorder()
	observed.Metrics.ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var text strings.Builder
	observed.Shutdown(t.Context(), slog.New(slog.NewTextHandler(&text, nil)))
	return scraped.Body.String(), text.String()
}

// Signals are exported only if the environment says so, and Prometheus always gets the
// metrics.
func TestEnvironment(t *testing.T) {
	var mu sync.Mutex
	exported := map[string]bool{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		exported[r.URL.Path] = true
	}))
	defer collector.Close()
	const yes, no, endpoint = true, false, "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, tt := range []struct {
		name            string
		env             map[string]string
		traces, metrics bool
	}{
		{"nothing", nil, no, no},
		{"an endpoint", map[string]string{endpoint: collector.URL}, yes, yes},
		{"an endpoint for metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector.URL + "/v1/metrics"}, no, yes},
		{"no traces", map[string]string{endpoint: collector.URL, "OTEL_TRACES_EXPORTER": "none"}, no, yes},
		{"metrics for Prometheus", map[string]string{endpoint: collector.URL, "OTEL_METRICS_EXPORTER": "prometheus"}, yes, no},
		{"disabled", map[string]string{endpoint: collector.URL, "OTEL_SDK_DISABLED": "true"}, no, no},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clear(exported)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
			scrape, log := export(t, tt.env)
			for _, want := range []string{
				`quash_consistency_wait_bucket{le="90"} 0`, `quash_consistency_wait_bucket{le="120"} 1`, "\ngo_goroutines ",
				`target_info{deployment_environment_name="staging",service_name="quash",service_version="v1"} 1`,
			} {
				if !strings.Contains(scrape, want) {
					t.Errorf("a scrape has no %q", want)
				}
			}
			if log != "" || exported["/v1/traces"] != tt.traces || exported["/v1/metrics"] != tt.metrics {
				t.Errorf("exported to %v, logged %s", exported, log)
			}
		})
	}
}

func TestBadEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_METRICS_EXPORTER": "otlp,prometheus", "OTEL_RESOURCE_ATTRIBUTES": "no equals sign",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:0")
			t.Setenv(name, value)
			if _, err := telemetry.New(t.Context(), "v1", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

// The log has the cause of a failed export, and no credentials for the collector.
func TestExportErrorsShowNoCredential(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "unknown key:\n"+r.Header.Get("Api-Key"))
	}))
	defer collector.Close()
	for name, tt := range map[string]struct{ host, want string }{
		"refused":     {collector.Listener.Addr().String(), "401 Unauthorized"},
		"unreachable": {"127.0.0.1:0", "dial tcp 127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, log := export(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:s3cret@" + tt.host + "/s3cret?key=s3cret",
				"OTEL_EXPORTER_OTLP_HEADERS":  "api-key=s3cret", "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",
			})
			if strings.Contains(log, "s3cret") || !strings.Contains(log, tt.want) || !strings.Contains(log, tt.host) {
				t.Errorf("logged %s", log)
			}
		})
	}
	const want = "rpc error: code = Unauthenticated desc = [redacted]"
	if got := telemetry.ErrorText(status.Error(codes.Unauthenticated, "s3cret\nagain")); got != want {
		t.Errorf("of gRPC: %q", got)
	}
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// The trace context is propagated, and text that callers choose is not.
func TestPropagator(t *testing.T) {
	t.Parallel()
	in := propagation.MapCarrier{"traceparent": traceparent, "tracestate": "a=b", "baggage": "c=d"}
	ctx := telemetry.TraceContext.Extract(t.Context(), in)
	if got := trace.SpanContextFromContext(ctx); got.TraceID().String() != traceparent[3:35] || got.TraceState().Len() > 0 || !got.IsRemote() {
		t.Errorf("extracted %v", got)
	}
	// A context from another propagator may have a tracestate.
	ctx = propagation.TraceContext{}.Extract(t.Context(), in)
	out := propagation.MapCarrier{}
	telemetry.TraceContext.Inject(ctx, out)
	if len(out) != 1 || out["traceparent"] != traceparent {
		t.Errorf("injected %v", out)
	}
}

func TestTraceIDInLog(t *testing.T) {
	t.Parallel()
	ctx := telemetry.TraceContext.Extract(t.Context(), propagation.MapCarrier{"traceparent": traceparent})
	var text strings.Builder
	logger := slog.New(telemetry.WithTraceID(slog.NewTextHandler(&text, nil))).With("a", 1)
	logger.InfoContext(ctx, "one")
	logger.InfoContext(t.Context(), "two")
	one, two, _ := strings.Cut(text.String(), "\n")
	if !strings.HasSuffix(one, " msg=one a=1 trace_id="+traceparent[3:35]) || !strings.HasSuffix(two, " msg=two a=1\n") {
		t.Errorf("logged\n%s", &text)
	}
}

// The log says where telemetry goes, and which variable cannot be used, without the
// credentials that a URL may hold.
func TestEndpointIsLogged(t *testing.T) {
	const endpoint, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	const enabled = `level=INFO msg="telemetry export enabled" signal=traces `
	rejected := func(variable string) string {
		return `level=WARN msg="telemetry endpoint is not a URL such as http://collector:4318" variable=` + variable + "\n"
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a URL":             {map[string]string{endpoint: "http://u:s3cret@collector.example:4318/s3cret?k=s3cret"}, enabled + "protocol=http/protobuf endpoint=http://collector.example:4318"},
		"for traces alone":  {map[string]string{endpoint: "http://a.example", traces: "https://b.example:1"}, enabled + "protocol=http/protobuf endpoint=https://b.example:1"},
		"gRPC":              {map[string]string{endpoint: "http://a.example:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, enabled + "protocol=grpc endpoint=http://a.example:4317"},
		"no scheme":         {map[string]string{endpoint: "127.0.0.1:4317"}, rejected(endpoint) + enabled + "protocol=http/protobuf endpoint=https://localhost:4318"},
		"no scheme, gRPC":   {map[string]string{endpoint: "127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, rejected(endpoint) + enabled + "protocol=grpc endpoint=https://localhost:4317"},
		"a name, no scheme": {map[string]string{traces: "collector:4318"}, rejected(traces) + enabled + "protocol=http/protobuf endpoint=none"},
		"another scheme":    {map[string]string{endpoint: "http://a.example", traces: "tcp://b.example"}, rejected(traces) + enabled + "protocol=http/protobuf endpoint=https://b.example"},
		"credentials alone": {map[string]string{endpoint: "s3cret:s3cret@127.0.0.1:4318"}, rejected(endpoint) + enabled + "protocol=http/protobuf endpoint=none"},
		"a gRPC target":     {map[string]string{endpoint: "dns:///a.example:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, enabled + `protocol=grpc endpoint="a gRPC target that is not a URL"`},
		"insecure gRPC":     {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "true"}, enabled + "protocol=grpc endpoint=http://localhost:4317"},
		"another exporter":  {map[string]string{"OTEL_TRACES_EXPORTER": "console"}, enabled + "exporter=console"},
		"no exporter":       {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_METRICS_EXPORTER", "none")
			for variable, value := range tt.env {
				t.Setenv(variable, value)
			}
			var log strings.Builder
			withoutTime := func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}
			observed, err := telemetry.New(t.Context(), "v1", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})))
			if err != nil {
				t.Fatal(err)
			}
			observed.Shutdown(t.Context(), slog.New(slog.DiscardHandler)) // there is nothing to export
			if got, _, _ := strings.Cut(log.String(), "level=INFO msg=\"telemetry export enabled\" signal=metrics"); strings.TrimSpace(got) != tt.want {
				t.Errorf("logged\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
