package server_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// BenchmarkRevoke is a call of each endpoint, one after the other on one connection, of a
// quash with all that it has in production, in front of a SlashID that answers at once
// over HTTP/1.1. What it allocates is quash's alone; the time is also that of both ends.
func BenchmarkRevoke(b *testing.B) {
	f := startProduction(b)
	for name, connect := range bareCalls(f) {
		b.Run(name, func(b *testing.B) {
			call := connect(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// bareCalls connects to each endpoint, for calls one after the other. Connect just before
// the first of them: the server closes a connection on which no request comes for 10 s.
func bareCalls(f *facade) map[string]func(testing.TB) func() error {
	return map[string]func(testing.TB) func() error{
		"gRPC":    func(tb testing.TB) func() error { return newBareGRPC(tb, f).call },
		"native":  func(tb testing.TB) func() error { return newBareREST(tb, f, "/v1/tokens:revoke", "200").call },
		"drop-in": func(tb testing.TB) func() error { return newBareREST(tb, f, "/token/revoke", "204").call },
	}
}

// startProduction runs a façade as it runs in production, but that spans and logs are
// thrown away: metrics are ready to be scraped, one trace in a hundred is sampled.
func startProduction(tb testing.TB) *facade {
	tb.Helper()
	tb.Setenv("OTEL_SDK_DISABLED", "")
	tb.Setenv("OTEL_METRICS_EXPORTER", "prometheus")
	tb.Setenv("OTEL_TRACES_EXPORTER", "none")
	tb.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	tb.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")
	logger := slog.New(telemetry.WithTraceID(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // what it has to write, it shall write
	observed, err := telemetry.New(tb.Context(), "test")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { observed.Shutdown(context.WithoutCancel(tb.Context()), logger) })
	upstream := newUpstream(tb, serveBare(tb), func(cfg *slashid.Config) {
		cfg.Telemetry = slashid.Telemetry{
			Tracers: observed.Tracers, Meters: observed.Meters, Propagator: observed.Propagator,
		}
	})
	return startFacade(tb, upstream, func(svc *service.Config, cfg *server.Config) {
		svc.Meter = observed.Meters.Meter("test")
		cfg.Telemetry, cfg.Logger = observed, logger
	})
}
