package service

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// background are the revocations that go on without their callers. The zero value
// is ready.
type background struct {
	mu    sync.Mutex
	calls map[*call]struct{}
}

func (b *background) add(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls == nil {
		b.calls = map[*call]struct{}{}
	}
	b.calls[c] = struct{}{}
}

func (b *background) remove(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, c)
}

// oldest is how many there are, and when the oldest began.
func (b *background) oldest() (n int, begun time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.calls {
		if begun.IsZero() || c.begun.Before(begun) {
			begun = c.begun
		}
	}
	return len(b.calls), begun
}

// recordLate tells the log and the metrics what became of a revocation whose caller
// has gone: nobody else is told.
func (s *TokenService) recordLate(ctx context.Context, c *call, a answer) {
	var level slog.Level
	var attrs []slog.Attr
	if a.err != nil {
		a.err.TookSince(c.begun)
		level, attrs = a.err.LogLevel(), a.err.Attrs()
	} else {
		level, attrs = slog.LevelInfo, append([]slog.Attr{
			slog.String("outcome", OutcomeName(a.resp.GetOutcome())),
		}, c.summary().Attrs()...)
	}
	s.metrics.late.Add(ctx, 1, metric.WithAttributes(EndingOf(a.resp, a.err, levelOfLate).Attributes()...))
	s.cfg.Logger.LogAttrs(ctx, level, "late outcome of a revocation whose caller had gone", attrs...)
}
