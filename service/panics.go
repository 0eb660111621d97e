package service

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// LogPanic writes where a recovered panic came from; call it while recovering. The
// value itself is left out unless it is the runtime's, for it may have been made
// from a request; a stack holds addresses, never texts.
func LogPanic(ctx context.Context, logger *slog.Logger, where string, value any) {
	cause := slog.String("type", fmt.Sprintf("%T", value))
	if err, ok := value.(runtime.Error); ok {
		cause = slog.String("cause", err.Error())
	}
	logger.LogAttrs(ctx, slog.LevelError, "panic",
		slog.String("in", where), cause, slog.String("stack", string(debug.Stack())))
}
