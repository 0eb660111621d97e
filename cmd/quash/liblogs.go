package main

import (
	"io"
	"log"
	"log/slog"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"

	"github.com/quashdev/quash/internal/telemetry"
)

// suppressLibraryLogs discards what libraries write to loggers of their own. net/http
// logs what an upstream sends unasked, which may be a token that it got before; grpc-go
// logs headers that it cannot decode. Neither can be told not to. What matters of it is
// logged elsewhere, in quash's own words. grpc-go's logger must be replaced before grpc-go
// is used: nothing guards it.
func suppressLibraryLogs() {
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	otel.SetLogger(logr.Discard())
}

// reportTelemetryErrors logs the errors of OpenTelemetry's exporters, without the
// collector's address and the credentials for it.
func reportTelemetryErrors(logger *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry export failed", "err", telemetry.ErrorText(err))
	}))
}
