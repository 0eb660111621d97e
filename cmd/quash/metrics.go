package main

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	meterName = "github.com/quashdev/quash/cmd/quash"

	attrFile         = attribute.Key("quash.file")
	attrReloadResult = attribute.Key("quash.reload.result")
)

// observeFiles makes metrics of files that are replaced while quash runs, and of the
// certificate that one of them may hold.
func observeFiles(ctx context.Context, meters metric.MeterProvider, a access) error {
	meter := meters.Meter(meterName)
	reloads, reloadsErr := meter.Int64Counter("quash.reloads",
		metric.WithUnit("{reload}"),
		metric.WithDescription("Files that were changed while quash ran: replaced what was in use, or were refused."))
	failing, failingErr := meter.Int64ObservableGauge("quash.reload.failing",
		metric.WithUnit("{file}"),
		metric.WithDescription("1 while a file cannot be used, and what it held before still is."))
	expiry, expiryErr := meter.Int64ObservableGauge("quash.tls.certificate.expiry.timestamp",
		metric.WithUnit("s"),
		metric.WithDescription("When the certificate that is served expires, in Unix time."))
	if err := errors.Join(reloadsErr, failingErr, expiryErr); err != nil {
		return fmt.Errorf("declare the metrics: %w", err)
	}
	for i := range a.watched {
		for _, result := range []string{reloadReplaced, reloadRefused} { // so that the first can be seen to come
			reloads.Add(ctx, 0, metric.WithAttributes(attrFile.String(a.watched[i].name), attrReloadResult.String(result)))
		}
		a.watched[i].reloaded = func(ctx context.Context, result string) {
			reloads.Add(ctx, 1, metric.WithAttributes(attrFile.String(a.watched[i].name), attrReloadResult.String(result)))
		}
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, f := range a.watched {
			value := int64(0)
			if f.stale() {
				value = 1
			}
			o.ObserveInt64(failing, value, metric.WithAttributes(attrFile.String(f.name)))
		}
		if a.tls != nil {
			o.ObserveInt64(expiry, a.tls.Certificate().Leaf.NotAfter.Unix())
		}
		return nil
	}, failing, expiry)
	if err != nil {
		return fmt.Errorf("observe the metrics: %w", err)
	}
	return nil
}
