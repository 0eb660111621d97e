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

// Upstream begins attempts, each to revoke one token once. It honours Request.Commit. Of
// ctx it takes the trace: its end does not end the attempt.
type Upstream interface {
	Begin(ctx context.Context, req slashid.Request) *slashid.Attempt
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

	cfg        Config
	validator  protovalidate.Validator
	flights    *flights
	breaker    circuitbreaker.CircuitBreaker[any]
	background background
	metrics    *metrics

	// cut ends when the revocations in progress must not go on any longer.
	cut    context.Context //nolint:containedctx // it is the service's life
	cutOff context.CancelFunc
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
		flights:   newFlights(cfg.MaxInFlight),
		breaker:   newBreaker(cfg.BreakerRest),
	}
	s.cut, s.cutOff = context.WithCancel(context.Background())
	s.metrics, err = newMetrics(cfg.Meter, s)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Drain refuses calls from now on. Those in progress go on.
func (s *TokenService) Drain() { s.flights.drain() }

// Wait returns once no revocation is in progress any more, after Drain. Those
// that still are when ctx ends are cut off, and the error says how many.
func (s *TokenService) Wait(ctx context.Context) error {
	if s.flights.wait(ctx) == nil {
		return nil
	}
	n := s.flights.count()
	s.cutOff()
	<-s.flights.landed
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d revocations in progress were cut off: %w", n, ctx.Err())
}

// Revoke implements the RPC. Every error it returns is an *Error.
func (s *TokenService) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	begun := time.Now()
	c, err := s.admit(ctx, req, begun)
	if err != nil {
		err.TookSince(begun)
		return nil, err
	}
	a := c.run(ctx)
	if c.concluded {
		s.flights.end()
	} else {
		go s.finish(context.WithoutCancel(ctx), c)
	}
	if a.err != nil {
		a.err.TookSince(begun)
		return nil, a.err
	}
	c.summary().tell(ctx)
	return a.resp, nil
}

// admit makes a call in flight of a request, or says why not.
func (s *TokenService) admit(ctx context.Context, req *quashv1.RevokeRequest, begun time.Time) (*call, *Error) {
	cmd, violations := readCommand(ctx, s.validator, req)
	creds, own, bad := s.credentials(ctx)
	if violations = append(violations, bad...); len(violations) > 0 {
		return nil, InvalidRequest(violations...)
	}
	c := &call{svc: s, cmd: cmd, creds: creds, own: own, begun: begun, due: s.due(ctx, cmd, begun)}
	if !begun.Before(c.due) {
		return nil, c.newError(deadlineTooShort)
	}
	if refused, ok := s.flights.begin(); !ok {
		return nil, c.newError(refused)
	}
	return c, nil
}

// due is by when a call must be answered.
func (s *TokenService) due(ctx context.Context, cmd command, begun time.Time) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline.Add(-s.cfg.DeadlineMargin)
	}
	return begun.Add(upstreamTimeout(orDefault(cmd.timeout)) + s.cfg.AnswerGrace)
}

// finish takes a call to its end that its caller has left.
func (s *TokenService) finish(ctx context.Context, c *call) {
	a := c.run(ctx)
	if !c.withdrawn {
		s.recordLate(ctx, c, a)
	}
	s.background.remove(c)
	s.flights.end()
}

// situationOfLeaving is the row for a caller that ctx says does not wait.
func situationOfLeaving(ctx context.Context) situation {
	if ctx.Err() == context.Canceled {
		return callerCancelled
	}
	return noAnswer
}

func upstreamConsistency(level quashv1.Consistency) slashid.Consistency {
	if level == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		return slashid.AllRegions
	}
	return slashid.LocalRegion
}
