package service

import (
	"context"
	"log/slog"
	"time"

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
