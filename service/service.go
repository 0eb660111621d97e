package service

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc/metadata"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// Upstream attempts a revocation once. It honours Request.Commit, and returns
// soon after ctx has ended.
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

	cfg        Config
	validator  protovalidate.Validator
	flights    *flights
	retries    failsafe.Executor[verdict]
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
		retries:   newRetries(),
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
	a := s.revoke(ctx, req, begun)
	a.tookSince(begun)
	if a.err != nil {
		return nil, a.err
	}
	a.summary.tell(ctx)
	return a.resp, nil
}

func (s *TokenService) revoke(ctx context.Context, req *quashv1.RevokeRequest, begun time.Time) answer {
	md, _ := metadata.FromIncomingContext(ctx)
	cmd, violations := readCommand(s.validator, req, md)
	creds, own, bad := s.credentials(md)
	if violations = append(violations, bad...); len(violations) > 0 {
		return answer{err: InvalidRequest(violations...)}
	}
	c := &call{svc: s, cmd: cmd, creds: creds, own: own, begun: begun, due: s.due(ctx, cmd, begun)}
	if !begun.Before(c.due) {
		return answer{err: c.newError(deadlineTooShort)}
	}
	if refused, ok := s.flights.begin(); !ok {
		return answer{err: c.newError(refused)}
	}
	settled := make(chan answer, 1)
	go func() {
		a := s.finish(ctx, c)
		// First, so that a caller that has its answer is not in flight any more.
		s.flights.end()
		settled <- a
	}()
	waiting, cancel := context.WithDeadline(ctx, c.due)
	defer cancel()
	select {
	case a := <-settled:
		return a
	case <-waiting.Done():
		return c.leave(situationOfLeaving(waiting))
	}
}

// due is by when a call must be answered.
func (s *TokenService) due(ctx context.Context, cmd command, begun time.Time) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline.Add(-s.cfg.DeadlineMargin)
	}
	return begun.Add(upstreamTimeout(orDefault(cmd.timeout)) + s.cfg.AnswerGrace)
}

// finish takes a call to its end, whatever becomes of its caller.
func (s *TokenService) finish(caller context.Context, c *call) answer {
	ctx, cancel := context.WithCancel(context.WithoutCancel(caller))
	defer cancel()
	defer s.background.remove(c)
	defer context.AfterFunc(s.cut, cancel)() //nolint:contextcheck // the service's life, not the call's
	a := s.settle(ctx, c)
	if c.land() {
		a.tookSince(c.begun)
		s.recordLate(ctx, a)
	}
	return a
}

// settle makes the attempts of a call, and returns how it ended.
func (s *TokenService) settle(ctx context.Context, c *call) (a answer) {
	defer func() {
		if value := recover(); value != nil {
			LogPanic(ctx, s.cfg.Logger, "a revocation", value)
			a = answer{err: Internal(nil)}
		}
	}()
	c.run(ctx)
	return c.settle()
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
