package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/quashdev/quash/internal/telemetry"
	"github.com/quashdev/quash/service/server"
)

// telemetryPatience is how long the last spans and metrics may take to go out.
const telemetryPatience = 3 * time.Second

// facade is a server with what goes on beside it.
type facade struct {
	*server.Server

	logger    *slog.Logger
	telemetry *telemetry.Telemetry
	watched   []watchedFile
}

// Run serves until ctx ends; see server.Server.
func (f *facade) Run(ctx context.Context) error {
	defer f.endTelemetry(context.WithoutCancel(ctx))
	return watching(ctx, f.logger, f.watched, f.Server.Run)
}

// Close is for a façade that is not going to Run.
func (f *facade) Close() {
	f.Server.Close()
	f.endTelemetry(context.Background())
}

func (f *facade) endTelemetry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, telemetryPatience)
	defer cancel()
	f.telemetry.Shutdown(ctx, f.logger)
}
