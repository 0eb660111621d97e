package main

import (
	"io"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"

	"github.com/quashdev/quash/internal/telemetry"
)

// withholdForeignLogs keeps out of the log what libraries write to loggers of their
// own. net/http writes there what an upstream sends unasked, which may be a token
// that it got before; grpc-go writes headers that it cannot decode. Neither can be
// told to leave it, and what of it matters is logged here in our own words.
func withholdForeignLogs(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(withheld{logger, "standard library"})
	grpcLogger.Store(logger)
	withholdGRPC()
	// What OpenTelemetry says is of its own exporters, which hold nothing of a request's
	// body and none of its headers but a trace id. They do hold the collector's address
	// and the credentials for it.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Warn("telemetry is not as it should be", "err", telemetry.ErrorText(err))
	}))
	otel.SetLogger(logr.Discard())
}

// grpcLogger is where grpc-go's errors are told of.
var grpcLogger atomic.Pointer[slog.Logger]

// withholdGRPC replaces grpc-go's logger, which may be done once and before it is used:
// nothing guards it.
var withholdGRPC = sync.OnceFunc(func() {
	// It gets errors on all three.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, fromGRPC{}))
})

type fromGRPC struct{}

func (fromGRPC) Write(p []byte) (int, error) { return withheld{grpcLogger.Load(), "grpc"}.Write(p) }

type withheld struct {
	logger *slog.Logger
	from   string
}

func (w withheld) Write(p []byte) (int, error) {
	w.logger.Warn("a library has something to say; the text is withheld, for it may repeat what a peer sent", "from", w.from, "bytes", len(p))
	return len(p), nil
}
