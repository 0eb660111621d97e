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
	begun map[*call]time.Time
}

func (b *background) add(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun == nil {
		b.begun = map[*call]time.Time{}
	}
	b.begun[c] = c.begun
}

func (b *background) remove(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.begun, c)
}

// oldest is how many there are, and when the oldest began.
func (b *background) oldest() (n int, begun time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.begun {
		if begun.IsZero() || t.Before(begun) {
			begun = t
		}
	}
	return len(b.begun), begun
}

// recordLate tells the log and the metrics what became of a revocation whose caller
// has gone: nobody else is told.
func (s *TokenService) recordLate(ctx context.Context, a answer) {
	level, attrs := slog.LevelInfo, append([]slog.Attr{
		slog.String("outcome", OutcomeName(a.resp.GetOutcome())),
	}, a.summary.Attrs()...)
	if a.err != nil {
		level, attrs = a.err.LogLevel(), a.err.Attrs()
	}
	s.metrics.late.Add(ctx, 1, metric.WithAttributes(OutcomeAttributes(a.resp, a.err)...))
	s.cfg.Logger.LogAttrs(ctx, level, "late outcome of a revocation whose caller had gone", attrs...)
}
