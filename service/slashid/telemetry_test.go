package slashid_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quashdev/quash/service/slashid"
)

// Each attempt is a span of the caller's trace, whose context goes to SlashID with it.
// What a peer wrote is in none.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	const token = "abc.def.ghi"
	for _, tt := range []struct {
		name        string
		answer      func(w http.ResponseWriter, r *http.Request)
		kind        slashid.Kind
		status      codes.Code
		description string
	}{
		{"204", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}, slashid.Revoked, codes.Unset, ""},
		{"503", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, token, http.StatusServiceUnavailable)
		}, slashid.Unavailable, codes.Error, ""},
		{"no HTTP", func(w http.ResponseWriter, r *http.Request) {
			write(t, w, r, token+"\r\n\r\n")
		}, slashid.ConnectionLost, codes.Error, "an error of HTTP's"},
		{"a body that breaks off", func(w http.ResponseWriter, r *http.Request) {
			write(t, w, r, "HTTP/1.1 400 "+token+"\r\nTransfer-Encoding: chunked\r\n\r\n"+token+"\r\n")
		}, slashid.Unexpected, codes.Error, "an error of HTTP's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get("Traceparent")
				tt.answer(w, r)
			}))
			t.Cleanup(s.Close)
			base, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
			tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
			client := slashid.New(slashid.Config{BaseURL: base, Telemetry: slashid.Telemetry{
				Tracers:    tracers,
				Meters:     sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
				Propagator: propagation.TraceContext{},
			}})
			t.Cleanup(client.Close)
			ctx, call := tracers.Tracer("test").Start(t.Context(), "call")
			result := client.Revoke(ctx, slashid.Request{Token: slashid.NewSecret(token), Consistency: slashid.LocalRegion})
			if result.Kind != tt.kind {
				t.Errorf("the attempt came to %s: %v", result.Kind, result.Err)
			}
			all := spans.GetSpans()
			if len(all) != 1 {
				t.Fatalf("%d spans", len(all))
			}
			span := all[0]
			if want := "00-" + call.SpanContext().TraceID().String() + "-" + span.SpanContext.SpanID().String() + "-01"; got != want {
				t.Errorf("SlashID gets %q, want %q", got, want)
			}
			if span.Parent.SpanID() != call.SpanContext().SpanID() {
				t.Errorf("the parent is %s", span.Parent.SpanID())
			}
			if span.Status.Code != tt.status || !strings.HasPrefix(span.Status.Description, tt.description) {
				t.Errorf("the status is %v", span.Status)
			}
			for _, attr := range span.Attributes {
				if strings.Contains(attr.Value.String(), token) {
					t.Errorf("%s is %s", attr.Key, attr.Value.String())
				}
			}
			client.Close()
			var metrics metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &metrics); err != nil {
				t.Fatal(err)
			}
			want := map[string]int64{"quash.upstream.connections.opened": 1, "quash.upstream.streams": 0}
			for name, value := range want {
				if got := sum(metrics, name); got != value {
					t.Errorf("%s is %d, want %d", name, got, value)
				}
			}
		})
	}
}

// sum adds the points of a metric.
func sum(all metricdata.ResourceMetrics, name string) (total int64) {
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range data.DataPoints {
					total += p.Value
				}
			}
		}
	}
	return total
}

// write answers r with a text, and closes the connection.
func write(t *testing.T, w http.ResponseWriter, r *http.Request, text string) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("%s: %v", r.URL, err)
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(text))
}

// Connections are counted while they are open.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	reader := sdkmetric.NewManualReader()
	client := slashid.New(slashid.Config{BaseURL: base, Telemetry: slashid.Telemetry{
		Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}})
	count := func() [2]int64 {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		return [2]int64{sum(all, "quash.upstream.connections"), sum(all, "quash.upstream.connections.opened")}
	}
	revoke := func() {
		client.Revoke(t.Context(), slashid.Request{Token: slashid.NewSecret("a"), Consistency: slashid.LocalRegion})
	}
	revoke()
	revoke()
	if got := count(); got != [2]int64{1, 1} {
		t.Errorf("after two requests: %v", got)
	}
	s.Close() // also the connection
	revoke()  // nobody listens any more
	if got := count(); got != [2]int64{0, 2} {
		t.Errorf("after another that could not be opened: %v", got)
	}
	client.Close()
}
