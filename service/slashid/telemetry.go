package slashid

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Telemetry holds the providers for a client's spans and metrics. The zero value records
// nothing.
type Telemetry struct {
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// Propagator puts the trace context into requests.
	Propagator propagation.TextMapPropagator
}

func (t Telemetry) orNothing() Telemetry {
	if t.Tracers == nil {
		t.Tracers = tracenoop.NewTracerProvider()
	}
	if t.Meters == nil {
		t.Meters = metricnoop.NewMeterProvider()
	}
	if t.Propagator == nil {
		t.Propagator = propagation.NewCompositeTextMapPropagator()
	}
	return t
}

// The attribute of the counter of dials, and its values.
const (
	attrDialResult = attribute.Key("quash.dial.result")
	dialOpened     = "opened"
	dialFailed     = "failed"
)

// traffic measures a client's connections and the requests in flight on them.
type traffic struct {
	connections, streams atomic.Int64
	dials                metric.Int64Counter
}

func newTraffic(meters metric.MeterProvider) *traffic {
	t := &traffic{}
	meter := meters.Meter(scope)
	// Only an invalid name causes an error, and these are constant.
	t.dials, _ = meter.Int64Counter("quash.upstream.connections.opened",
		metric.WithUnit("{connection}"),
		metric.WithDescription("Attempts to open a connection to SlashID, by result, without the TLS handshake."))
	for _, result := range []string{dialOpened, dialFailed} { // start with 0, so that Prometheus sees the first increase
		t.dials.Add(context.Background(), 0, metric.WithAttributes(attrDialResult.String(result)))
	}
	_, _ = meter.Int64ObservableUpDownCounter("quash.upstream.connections",
		metric.WithUnit("{connection}"),
		metric.WithDescription("Open connections to SlashID."),
		metric.WithInt64Callback(observe(&t.connections)))
	_, _ = meter.Int64ObservableUpDownCounter("quash.upstream.streams",
		metric.WithUnit("{request}"),
		metric.WithDescription("Requests to SlashID in flight."),
		metric.WithInt64Callback(observe(&t.streams)))
	return t
}

func observe(n *atomic.Int64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(n.Load())
		return nil
	}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// counted returns dial with metrics.
func (t *traffic) counted(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			t.dials.Add(ctx, 1, metric.WithAttributes(attrDialResult.String(dialFailed)))
			return nil, err
		}
		t.dials.Add(ctx, 1, metric.WithAttributes(attrDialResult.String(dialOpened)))
		t.connections.Add(1)
		return &countedConn{conn, sync.OnceFunc(func() { t.connections.Add(-1) })}, nil
	}
}

type countedConn struct {
	net.Conn

	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
