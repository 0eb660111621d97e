package server

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const attrListener = attribute.Key("quash.listener")

// observeListeners registers the metrics of connections and pending requests.
func (s *Server) observeListeners(meters metric.MeterProvider, pending *pending) error {
	meter := meters.Meter(meterName)
	open, openErr := meter.Int64ObservableUpDownCounter("quash.server.connections",
		metric.WithUnit("{connection}"),
		metric.WithDescription("Open client connections, by listener."))
	limit, limitErr := meter.Int64ObservableUpDownCounter("quash.server.connections.limit",
		metric.WithUnit("{connection}"),
		metric.WithDescription("Maximum number of open connections; more wait to be accepted."))
	rejected, rejectedErr := meter.Int64ObservableCounter("quash.pending_requests.rejected",
		metric.WithUnit("{request}"),
		metric.WithDescription("Requests rejected before they were read: too slow, or more than --max-arriving."))
	if err := errors.Join(openErr, limitErr, rejectedErr); err != nil {
		return fmt.Errorf("declare the metrics: %w", err)
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for name, l := range s.listeners() {
			listener := metric.WithAttributes(attrListener.String(name))
			o.ObserveInt64(open, l.open.Load(), listener)
			o.ObserveInt64(limit, int64(cap(l.places)), listener)
		}
		o.ObserveInt64(rejected, pending.rejected.Load())
		return nil
	}, open, limit, rejected)
	if err != nil {
		return fmt.Errorf("observe the metrics: %w", err)
	}
	return nil
}
