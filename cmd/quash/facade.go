package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// parts are what newFacade needs from flags and files.
type parts struct {
	access
	files

	upstream slashid.Config
	// apiKey returns quash's own key for SlashID. If it is nil, callers send theirs.
	apiKey   func() slashid.Secret
	settings configz
}

// facade is a server with its logger, its telemetry and the files that it watches.
type facade struct {
	*server.Server

	logger    *slog.Logger
	logs      *logQueue
	telemetry *telemetry.Telemetry
	files     files
	reloads   metric.Int64Counter
	hangups   <-chan os.Signal
}

// newFacade builds the server and binds its listeners.
func (f *serverFlags) newFacade(ctx context.Context, std streams, p parts) (built *facade, err error) {
	logger, level, queue := f.newLogger(std.err) //nolint:contextcheck // a report of dropped lines belongs to no call
	reportTelemetryErrors(logger)
	observed, err := telemetry.New(ctx, buildInfo().Version, logger)
	if err != nil {
		queue.Close()
		return nil, usageErrorf("%s", err)
	}
	built = &facade{logger: logger, logs: queue, telemetry: observed, files: p.files, hangups: std.hangups}
	defer func() {
		if err != nil {
			built.end(ctx)
		}
	}()
	if built.reloads, err = p.observe(ctx, observed.Meters, p.tls); err != nil {
		return nil, err
	}
	if err := queue.observe(observed.Meters); err != nil {
		return nil, err
	}
	p.upstream.Telemetry = slashid.Telemetry{
		Tracers: observed.Tracers, Meters: observed.Meters, Propagator: observed.Propagator,
	}
	svc, err := service.New(service.Config{ //nolint:contextcheck // it outlives ctx
		Upstream:       slashid.New(p.upstream), //nolint:contextcheck // it outlives ctx
		APIKey:         p.apiKey,
		DeadlineMargin: f.DeadlineMargin,
		MaxInFlight:    f.MaxInFlight,
		Logger:         logger,
		Meter:          observed.Meters.Meter("github.com/quashdev/quash/service"),
	})
	if err != nil {
		return nil, err
	}
	cfg := server.Config{
		Service:            svc,
		GRPCAddr:           f.GRPCAddr,
		HTTPAddr:           f.HTTPAddr,
		AdminAddr:          f.AdminAddr,
		Reflection:         f.Reflection,
		Docs:               f.Docs,
		CORSAllowedOrigins: f.CORSAllowedOrigin,
		DrainDelay:         f.DrainDelay,
		DrainTimeout:       f.DrainTimeout,
		TLS:                p.tls,
		AllowedCallers:     p.allowed,
		Limits:             f.limits(),
		Settings:           p.settings.towards(p.upstream, p.apiKey),
		LogLevel:           level,
		Build:              buildInfo(),
		Logger:             logger,
		Telemetry:          observed,
	}
	if p.tls != nil && !isLoopback(f.AdminAddr) {
		// Probes and scrapers have no client certificate.
		cfg.AdminTLS = &server.TLS{Certificate: p.tls.Certificate, MinVersion: p.tls.MinVersion}
	}
	built.Server, err = server.New(ctx, cfg)
	return built, err
}

// Run serves until ctx ends; see server.Server. It watches the files until the shutdown is
// complete: a caller that is removed from the list during a long drain must be rejected.
func (f *facade) Run(ctx context.Context) error {
	watchCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer f.end(watchCtx)
	defer stop()
	go f.files.watch(watchCtx, f.hangups, f.logger, f.reloads)
	return f.Server.Run(ctx)
}

// Close releases a facade on which Run is not called.
func (f *facade) Close() {
	f.Server.Close()
	f.end(context.Background())
}

// telemetryPatience bounds the export of the last spans and metrics.
const telemetryPatience = 3 * time.Second

// end exports the last spans and metrics, and then writes the last lines of the log.
func (f *facade) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), telemetryPatience)
	defer cancel()
	f.telemetry.Shutdown(ctx, f.logger)
	f.logs.Close()
}
