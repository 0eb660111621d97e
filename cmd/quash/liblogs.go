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

// suppressLibraryLogs discards what libraries write to their own loggers, because it may
// contain a token: net/http logs unsolicited data from an upstream, and grpc-go logs headers
// that it cannot decode. Neither has an option to turn that off. quash itself logs what
// operators need. Call it before grpc-go is used: setting grpc-go's logger is not synchronized.
func suppressLibraryLogs() {
	log.SetOutput(io.Discard)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	otel.SetLogger(logr.Discard())
}

// reportTelemetryErrors logs the errors of OpenTelemetry's exporters, without the credentials
// for the collector.
func reportTelemetryErrors(logger *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry export failed", "err", telemetry.ErrorText(err))
	}))
}
