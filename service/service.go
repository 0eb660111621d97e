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

// Upstream makes attempts to revoke a token.
type Upstream interface {
	// Revoke makes one attempt. It calls Request.BeforeSend before it sends the token, and
	// returns when ctx ends at the latest.
	Revoke(ctx context.Context, req slashid.Request) slashid.Result
}

// Config is what a TokenService needs.
type Config struct {
	Upstream Upstream
	// APIKey returns quash's current API key for SlashID. If it is nil, the caller's
	// credentials are forwarded instead.
	APIKey func() slashid.Secret
	// DeadlineMargin is subtracted from the caller's deadline, so that the answer arrives
	// before the deadline. It must not be negative.
	DeadlineMargin time.Duration
	// AnswerGrace is the time that SlashID has to answer an attempt after the attempt's
	// timeout. 0 means 5 s.
	AnswerGrace time.Duration
	// MaxInFlight is the maximum number of revocations in flight, including those that
	// continue in the background. 0 means DefaultMaxInFlight.
	MaxInFlight int
	// BreakerRest is the time from the opening of the circuit breaker to its first probes.
	// 0 means 5 s.
	BreakerRest time.Duration
	// Logger is for background revocations and panics. nil logs nothing.
	Logger *slog.Logger
	// Meter is for metrics. nil measures nothing.
	Meter metric.Meter
}

// DefaultMaxInFlight is the default of Config.MaxInFlight.
const DefaultMaxInFlight = 10_000

// TokenService implements quash.v1.TokenService. It is safe for concurrent use.
// Before the program exits, call Drain and then Wait.
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
	// Compile the rules now, so that an error in them is found at start.
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

// Drain makes Revoke reject every further call. Calls in flight continue.
func (s *TokenService) Drain() { s.inFlight.drain() }

// Wait waits until no revocation is in flight. Call Drain first. When ctx ends, Wait cancels
// the revocations that are still in flight, and returns an error with their number.
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
	return fmt.Errorf("%d revocations in flight were cancelled: %w", n, ctx.Err())
}

// Revoke implements the RPC. Every error that it returns is an *Error.
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

// admit starts the revocation that a request asks for, or returns why it is rejected.
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
	// The attempts can outlive the call: they use the values of its context, and not its
	// deadline and cancellation.
	attempts, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r.cancel = cancel
	if rejected, ok := s.inFlight.acquire(r); !ok {
		cancel(nil)
		return nil, r.error(rejected)
	}
	r.start(attempts)
	return r, nil
}

// due returns when the answer to a call is due.
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
