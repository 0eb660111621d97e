package service

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Summary describes a call in the log, except for its outcome.
type Summary struct {
	Consistency quashv1.Consistency
	// Timeout is the timeout of the last attempt, in whole seconds; 0 if there was none.
	Timeout  time.Duration
	Attempts int
	// UpstreamStatus is the HTTP status of the last upstream response; 0 if there was none.
	UpstreamStatus int
	CorrelationID  string
	Elapsed        time.Duration
}

type summaryKey struct{}

// WithSummary returns a context for Revoke, and the summary that Revoke fills in before it
// returns a response. If Revoke fails, its Error contains the summary.
func WithSummary(ctx context.Context) (context.Context, *Summary) {
	var s Summary
	return context.WithValue(ctx, summaryKey{}, &s), &s
}

// Attrs returns the summary's log attributes.
func (s Summary) Attrs() []slog.Attr {
	var attrs []slog.Attr
	if s.Consistency != quashv1.Consistency_CONSISTENCY_UNSPECIFIED {
		attrs = append(attrs, slog.String("consistency", consistencyName(s.Consistency)))
	}
	if s.Attempts > 0 {
		attrs = append(attrs, slog.Duration("timeout", s.Timeout))
	}
	attrs = append(attrs,
		slog.Int("attempts", s.Attempts),
		slog.Int("upstream_status", s.UpstreamStatus),
		slog.Duration("elapsed", s.Elapsed),
	)
	if s.CorrelationID != "" {
		attrs = append(attrs, slog.String("correlation_id", s.CorrelationID))
	}
	return attrs
}

// recordLate logs and counts the outcome of a revocation that finished in the background.
// No caller receives this outcome, so it is reported nowhere else.
func (s *TokenService) recordLate(ctx context.Context, r *revocation, a answer) {
	var level slog.Level
	var attrs []slog.Attr
	var labels Labels
	if a.err != nil {
		a.err.TookSince(r.begun)
		level, attrs, labels = a.err.LogLevel(), a.err.Attrs(), a.err.Labels()
	} else {
		level, labels = slog.LevelInfo, SuccessLabels(a.resp, r.cmd.consistency)
		attrs = append([]slog.Attr{slog.String("outcome", OutcomeName(a.resp.GetOutcome()))}, r.currentSummary().Attrs()...)
	}
	s.metrics.addLate(ctx, 1, labels)
	s.cfg.Logger.LogAttrs(ctx, level, "background revocation finished", attrs...)
}

// LogPanic logs a recovered panic with its stack; call it from the deferred function that
// recovers. It logs the value only if the Go runtime made it, because another value may
// contain parts of a request. A stack contains addresses and no texts.
func LogPanic(ctx context.Context, logger *slog.Logger, where string, value any) {
	cause := slog.String("type", fmt.Sprintf("%T", value))
	if err, ok := value.(runtime.Error); ok {
		cause = slog.String("cause", err.Error())
	}
	logger.LogAttrs(ctx, slog.LevelError, "panic",
		slog.String("in", where), cause, slog.String("stack", string(debug.Stack())))
}
