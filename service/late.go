package service

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// lateOutcomes counts what became of revocations whose callers had gone. The zero
// value is ready.
type lateOutcomes struct {
	mu     sync.Mutex
	counts map[string]int64
}

// record counts a late outcome, and logs it: nobody else is told.
func (l *lateOutcomes) record(ctx context.Context, logger *slog.Logger, a answer, begun time.Time) {
	var name string
	var attrs []slog.Attr
	level := slog.LevelInfo
	if a.err == nil {
		name = outcomeName(a.resp.GetOutcome())
		attrs = []slog.Attr{
			slog.String("outcome", name),
			slog.Duration("elapsed", time.Since(begun)),
			slog.String("correlation_id", a.resp.GetCorrelationId()),
		}
	} else {
		level = a.err.LogLevel()
		name = a.err.Reason()
		a.err.TookSince(begun)
		attrs = a.err.Attrs()
	}
	l.mu.Lock()
	if l.counts == nil {
		l.counts = map[string]int64{}
	}
	l.counts[name]++
	l.mu.Unlock()
	logger.LogAttrs(ctx, level, "late outcome of a revocation whose caller had gone", attrs...)
}

// count is how often there was a late outcome: the name of an Outcome or of an
// ErrorReason, without its prefix.
func (l *lateOutcomes) count(name string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[name]
}

// LateOutcomes is how many revocations whose callers had gone came to an end of
// that name: an Outcome's or an ErrorReason's, without its prefix.
func (s *TokenService) LateOutcomes(name string) int64 { return s.late.count(name) }
