package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

const (
	// scrapesAtOnce is the maximum number of concurrent scrapes, scrapeTimeout the maximum
	// time of each.
	scrapesAtOnce = 4
	scrapeTimeout = 10 * time.Second
)

// Telemetry is the telemetry of one program. Call Shutdown when the program ends.
type Telemetry struct {
	Tracers    trace.TracerProvider
	Meters     metric.MeterProvider
	Propagator propagation.TextMapPropagator
	// Metrics answers scrapes of Prometheus. It is nil if there are no metrics.
	Metrics http.Handler

	shutdowns []func(context.Context) error
}

// None returns a Telemetry that records nothing.
func None() *Telemetry {
	return &Telemetry{
		Tracers:    tracenoop.NewTracerProvider(),
		Meters:     metricnoop.NewMeterProvider(),
		Propagator: TraceContext,
	}
}

// New configures telemetry from OTEL_EXPORTER_OTLP_ENDPOINT and the other environment variables
// of the OpenTelemetry specification. If none of them is set, nothing is exported, and only
// Metrics serves the metrics. version is the version of quash.
func New(ctx context.Context, version string, logger *slog.Logger) (*Telemetry, error) {
	tracing, tracesErr := traces.wanted()
	measuring, metricsErr := metrics.wanted()
	if err := errors.Join(tracesErr, metricsErr); err != nil {
		return nil, err
	}
	// The attributes from the environment take precedence, as operators expect.
	environment, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	about, err := resource.Merge(
		resource.NewSchemaless(semconv.ServiceName("quash"), semconv.ServiceVersion(version)), environment)
	if err != nil {
		return nil, fmt.Errorf("describe this service: %w", err)
	}
	t := None()
	registry := prometheus.NewRegistry()
	scraped, err := newScraped(registry)
	if err != nil {
		return nil, err
	}
	// Set up traces before metrics: the shutdown of metrics sends them, and a start that fails
	// must not send anything.
	if tracing {
		traces.logEndpoint(logger)
		exporter, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("set up the export of traces from the OTEL_* variables: %w", err)
		}
		tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
		t.Tracers, t.shutdowns = tracers, append(t.shutdowns, tracers.Shutdown)
	}
	options := []sdkmetric.Option{withWaitBuckets(), sdkmetric.WithResource(about), sdkmetric.WithReader(scraped)}
	if measuring {
		metrics.logEndpoint(logger)
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			for _, shutdown := range t.shutdowns {
				_ = shutdown(ctx) // no span has begun
			}
			return nil, fmt.Errorf("set up the export of metrics from the OTEL_* variables: %w", err)
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	meters := sdkmetric.NewMeterProvider(options...)
	t.Meters, t.shutdowns = meters, append(t.shutdowns, meters.Shutdown)
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	})
	return t, nil
}

// newScraped returns the reader that Metrics serves.
func newScraped(registry *prometheus.Registry) (sdkmetric.Reader, error) {
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	reader, err := promexporter.New(
		promexporter.WithRegisterer(registry),
		promexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		// The names are unique without the scope, and queries stay short.
		promexporter.WithoutScopeInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the metrics for Prometheus: %w", err)
	}
	return reader, nil
}

// waitBuckets are the bucket bounds for durations up to SlashID's longest consistency timeout,
// 120 s. The bounds of the semantic conventions end at 10 s.
var waitBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120}

// withWaitBuckets sets waitBuckets for all histograms of calls that wait for SlashID.
func withWaitBuckets() sdkmetric.Option {
	long := sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: waitBuckets}}
	return sdkmetric.WithView(
		sdkmetric.NewView(sdkmetric.Instrument{Name: "rpc.server.call.duration"}, long),
		sdkmetric.NewView(sdkmetric.Instrument{Name: "http.client.request.duration"}, long),
		sdkmetric.NewView(sdkmetric.Instrument{Name: "quash.consistency.wait"}, long),
	)
}

// Shutdown exports the remaining spans and metrics until ctx ends. It logs failures and does not
// return them, because no revocation is lost. Spans and metrics are exported concurrently: if
// the collector does not answer one export, the other must still have its time.
func (t *Telemetry) Shutdown(ctx context.Context, logger *slog.Logger) {
	var all sync.WaitGroup
	for _, shutdown := range t.shutdowns {
		all.Go(func() {
			if err := shutdown(ctx); err != nil {
				logger.Warn("final telemetry export failed", "err", ErrorText(err))
			}
		})
	}
	all.Wait()
}
