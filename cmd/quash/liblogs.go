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

// reportTelemetryErrors logs the errors of OpenTelemetry, in its settings and in its exports,
// without the credentials for the collector.
func reportTelemetryErrors(logger *slog.Logger) {
	otel.SetLogger(logr.New(otelSettings{logger}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry export failed", "err", telemetry.ErrorText(err))
	}))
}

// otelSettings logs the OTEL_* variables that OpenTelemetry rejects, and ignores. It leaves out
// their values, which may hold credentials, and what OpenTelemetry logs at lower levels.
type otelSettings struct{ logger *slog.Logger }

func (s otelSettings) Error(_ error, problem string, keysAndValues ...any) {
	attrs := []any{"problem", problem}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		if key := keysAndValues[i]; key == "file" || key == "environment variable" {
			attrs = append(attrs, key, keysAndValues[i+1])
		}
	}
	s.logger.Warn("OpenTelemetry setting ignored", attrs...)
}

func (otelSettings) Init(logr.RuntimeInfo)            {}
func (otelSettings) Enabled(int) bool                 { return false }
func (otelSettings) Info(int, string, ...any)         {}
func (s otelSettings) WithValues(...any) logr.LogSink { return s }
func (s otelSettings) WithName(string) logr.LogSink   { return s }
