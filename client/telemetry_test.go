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
	"github.com/quashdev/quash/internal/secrettest"
)

// Each call has a span and a duration, its trace continues in quash, and no telemetry contains
// any part of the token. Health streams have no telemetry.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	traceparents := make(chan string, 1)
	f := startFake(t, func(ctx context.Context) error {
		traceparents <- incoming(ctx, "traceparent")
		return nil
	})
	c := newClient(t, f.addr, plaintext,
		client.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))),
		client.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))),
		client.WithPropagator(propagation.TraceContext{}))
	token := secrettest.Spiked("aaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccc")
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: token}, revoked)

	ended := spans.Ended()
	if len(ended) != 1 || len(spans.Started()) != 1 || ended[0].Name() != "quash.v1.TokenService/Revoke" {
		t.Fatalf("spans: %v, ended: %v", spans.Started(), ended)
	}
	if got, trace := <-traceparents, ended[0].SpanContext().TraceID().String(); !strings.Contains(got, trace) {
		t.Errorf("quash got traceparent %q, want trace %s", got, trace)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	// A size would show the length of the token.
	if len(metrics.ScopeMetrics) != 1 || len(metrics.ScopeMetrics[0].Metrics) != 1 ||
		metrics.ScopeMetrics[0].Metrics[0].Name != "rpc.client.call.duration" {
		t.Errorf("measured: %+v", metrics)
	}
	text := fmt.Sprintf("%+v %+v %+v", metrics, ended[0].Attributes(), ended[0].Events())
	if trace := secrettest.Trace(text, token); trace != "" {
		t.Errorf("it shows %q of the token:\n%s", trace, text)
	}
}
