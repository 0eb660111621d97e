package service

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// Summary is what the log is told of a call besides how it ended.
type Summary struct {
	Consistency quashv1.Consistency
	// Timeout is the one of the last attempt, in whole seconds; 0 without any.
	Timeout  time.Duration
	Attempts int
	// UpstreamStatus is that of SlashID's last answer; 0 without any.
	UpstreamStatus int
	CorrelationID  string
	Elapsed        time.Duration
}

type summaryKey struct{}

// WithSummary returns a context for Revoke, and what Revoke writes the summary of a
// success to before it returns: an answer has no room for it, as an Error has.
func WithSummary(ctx context.Context) (context.Context, *Summary) {
	var s Summary
	return context.WithValue(ctx, summaryKey{}, &s), &s
}

func (s Summary) tell(ctx context.Context) {
	if to, ok := ctx.Value(summaryKey{}).(*Summary); ok {
		*to = s
	}
}

// Attrs are the summary's attributes for a log.
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

// recordLate tells the log and the metrics what became of a revocation whose caller
// had left: nothing else is told.
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
	labels.Consistency = levelOfLate
	s.metrics.late.Add(ctx, 1, metric.WithAttributes(labels.Attributes()...))
	s.cfg.Logger.LogAttrs(ctx, level, "late outcome of a revocation whose caller had gone", attrs...)
}
