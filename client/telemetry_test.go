package client_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/internal/secrettest"
)

// Each call has a span and is measured, its trace goes on in quash, and none of it tells
// of the token. Health has none.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	telemetry := []client.Option{
		client.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))),
		client.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))),
		client.WithPropagator(propagation.TraceContext{}),
	}
	var parent string
	f := startFake(t, func(f *fake) {
		f.revoke = func(ctx context.Context) error {
			parent = incoming(ctx, "traceparent")
			return nil
		}
	})
	mustRevoke(t, newClient(t, f.addr, telemetry...), &quashv1.RevokeRequest{}, revoked)
	quash := quashtest.Start(t)
	c := newClient(t, quash.Addr, telemetry...)
	token := quash.Mint()
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: token}, revoked)
	mustFail(t, c, &quashv1.RevokeRequest{Token: token})

	ended := spans.Ended()
	if len(ended) != 3 || len(spans.Started()) != 3 {
		t.Fatalf("%d spans of %d have ended, want 3 of 3", len(ended), len(spans.Started()))
	}
	if trace := ended[0].SpanContext().TraceID().String(); !strings.Contains(parent, trace) {
		t.Errorf("quash was told of %q, want trace %s", parent, trace)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	fmt.Fprintf(&told, "%+v", metrics)
	if len(metrics.ScopeMetrics) != 1 {
		t.Fatalf("measured: %s", told.String())
	}
	for _, metric := range metrics.ScopeMetrics[0].Metrics {
		if metric.Name != "rpc.client.call.duration" {
			t.Errorf("%s is measured: does it tell a token's length?", metric.Name)
		}
	}
	for _, span := range ended {
		if got, want := span.Name(), "quash.v1.TokenService/Revoke"; got != want {
			t.Errorf("span %q, want %q", got, want)
		}
		fmt.Fprintf(&told, "%s %+v %+v %+v", span.Name(), span.Attributes(), span.Events(), span.Status())
	}
	if trace := secrettest.Trace(told.String(), token); trace != "" {
		t.Errorf("%q of the token is told:\n%s", trace, told.String())
	}
}
