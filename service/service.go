package service

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// Upstream attempts to revoke a token once. It returns when ctx ends, if not before, and
// calls Request.BeforeSend before it sends anything.
type Upstream interface {
	Revoke(ctx context.Context, req slashid.Request) slashid.Result
}

// Config is what a TokenService needs.
type Config struct {
	Upstream Upstream
	// APIKey returns quash's own key for SlashID, as it is now. Where it is nil,
	// the caller's credentials are forwarded instead.
	APIKey func() slashid.Secret
	// DeadlineMargin is what is kept back of a caller's deadline, so that the
	// answer arrives before it; not negative.
	DeadlineMargin time.Duration
	// AnswerGrace is how much longer than its timeout SlashID may take to answer an
	// attempt. 0 means 5 s.
	AnswerGrace time.Duration
	// MaxInFlight is how many revocations may be in progress, those that go on
	// after their callers have gone included. 0 means DefaultMaxInFlight.
	MaxInFlight int
	// BreakerRest is how long the circuit breaker lets SlashID recover before it
	// probes. 0 means 5 s.
	BreakerRest time.Duration
	Logger      *slog.Logger
	// Meter is for the metrics; nil measures nothing.
	Meter metric.Meter
}

// DefaultMaxInFlight is Config.MaxInFlight unless it says otherwise.
const DefaultMaxInFlight = 10_000

// TokenService implements quash.v1.TokenService. It is safe for concurrent use.
// Before the program ends, call Drain and then Wait.
type TokenService struct {
	quashv1.UnimplementedTokenServiceServer

	cfg       Config
	validator protovalidate.Validator
	inFlight  *inFlight
	breaker   circuitbreaker.CircuitBreaker[any]
	metrics   *metrics
}

// New returns a TokenService.
func New(cfg Config) (*TokenService, error) {
	// The rules are compiled now, so that a mistake in them shows at start.
	validator, err := protovalidate.New(
		protovalidate.WithMessages(&quashv1.RevokeRequest{}),
		protovalidate.WithDisableLazy(),
	)
	if err != nil {
		return nil, fmt.Errorf("compile the validation rules: %w", err)
	}
	cfg.AnswerGrace = cmp.Or(cfg.AnswerGrace, defaultAnswerGrace)
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, DefaultMaxInFlight)
	cfg.BreakerRest = cmp.Or(cfg.BreakerRest, defaultBreakerRest)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noop.Meter{}
	}
	s := &TokenService{
		cfg:       cfg,
		validator: validator,
		inFlight:  newInFlight(cfg.MaxInFlight),
		breaker:   newBreaker(cfg.BreakerRest),
	}
	s.metrics = newMetrics(cfg.Meter, s)
	return s, nil
}

// Drain refuses calls from now on. Those in progress go on.
func (s *TokenService) Drain() { s.inFlight.drain() }

// Wait returns once no revocation is in progress any more, after Drain. Those that still
// are when ctx ends are cut off, and the error says how many.
func (s *TokenService) Wait(ctx context.Context) error {
	select {
	case <-s.inFlight.drained:
		return nil
	case <-ctx.Done():
	}
	n := s.inFlight.cancel(errShutdown)
	<-s.inFlight.drained
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d revocations in progress were cut off: %w", n, ctx.Err())
}

// Revoke implements the RPC. Every error it returns is an *Error.
func (s *TokenService) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	begun := time.Now()
	r, err := s.admit(ctx, req, begun)
	if err != nil {
		err.TookSince(begun)
		return nil, err
	}
	a := r.wait(ctx)
	if a.err != nil {
		a.err.TookSince(begun)
		return nil, a.err
	}
	if summary, ok := ctx.Value(summaryKey{}).(*Summary); ok {
		*summary = r.currentSummary()
	}
	return a.resp, nil
}

// admit starts the revocation that a request asks for, or says why not.
func (s *TokenService) admit(ctx context.Context, req *quashv1.RevokeRequest, begun time.Time) (*revocation, *Error) {
	cmd, violations := s.readCommand(ctx, req)
	if len(violations) > 0 {
		return nil, InvalidRequest(violations...)
	}
	r := &revocation{
		svc: s, cmd: cmd, begun: begun, due: s.due(ctx, cmd, begun), done: make(chan struct{}),
		summary: Summary{Consistency: cmd.consistency},
	}
	if !begun.Before(r.due) {
		return nil, r.error(deadlineTooShort)
	}
	// Of the caller's context the attempts take only the values.
	attempts, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r.cancel = cancel
	if refused, ok := s.inFlight.acquire(r); !ok {
		cancel(nil)
		return nil, r.error(refused)
	}
	r.start(attempts)
	return r, nil
}

// due is by when a call must be answered.
func (s *TokenService) due(ctx context.Context, cmd command, begun time.Time) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline.Add(-s.cfg.DeadlineMargin)
	}
	return begun.Add(upstreamTimeout(orDefault(cmd.timeout)) + s.cfg.AnswerGrace)
}

func upstreamConsistency(level quashv1.Consistency) slashid.Consistency {
	if level == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		return slashid.AllRegions
	}
	return slashid.LocalRegion
}
