package service

import (
	"context"
	"fmt"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// Upstream attempts a revocation once.
type Upstream interface {
	Revoke(ctx context.Context, req slashid.Request) slashid.Result
}

// Config is what a TokenService needs.
type Config struct {
	Upstream Upstream
	// APIKey is quash's own key for SlashID. Absent, the caller's credentials are
	// forwarded instead.
	APIKey slashid.Secret
	// DeadlineMargin is what is kept back of a caller's deadline, so that the
	// answer arrives before it; not negative.
	DeadlineMargin time.Duration
	// AnswerGrace is how much longer than its timeout SlashID may take to answer a
	// call that has no deadline of its own. 0 means 5 s.
	AnswerGrace time.Duration
}

// TokenService implements quash.v1.TokenService. It is safe for concurrent use.
type TokenService struct {
	quashv1.UnimplementedTokenServiceServer

	cfg       Config
	validator protovalidate.Validator
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
	if cfg.AnswerGrace == 0 {
		cfg.AnswerGrace = defaultAnswerGrace
	}
	return &TokenService{cfg: cfg, validator: validator}, nil
}

// Revoke implements the RPC. Every error it returns is an *Error.
func (s *TokenService) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	begun := time.Now()
	resp, err := s.revoke(ctx, req)
	if err != nil {
		err.failure.Elapsed = durationpb.New(time.Since(begun))
		return nil, err
	}
	return resp, nil
}

func (s *TokenService) revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, *Error) {
	md, _ := metadata.FromIncomingContext(ctx)
	cmd, violations := readCommand(s.validator, req, md)
	if len(violations) > 0 {
		return nil, InvalidRequest(violations...)
	}
	sched, ok := s.plan(ctx, cmd.timeout)
	if !ok {
		err := newError(deadlineTooShort)
		err.failure.Consistency = cmd.consistency
		return nil, err
	}
	creds, own := s.credentials(md)
	ctx, cancel := context.WithTimeout(ctx, sched.due)
	defer cancel()
	result := s.cfg.Upstream.Revoke(ctx, slashid.Request{
		Token:       cmd.token,
		Consistency: upstreamConsistency(cmd.consistency),
		Timeout:     sched.timeout,
		SDKVersion:  cmd.sdkVersion,
		Credentials: creds,
	})
	return answer(cmd, sched, result, own)
}

// plan schedules an attempt within what is left of the caller's deadline.
func (s *TokenService) plan(ctx context.Context, requested time.Duration) (schedule, bool) {
	if deadline, ok := ctx.Deadline(); ok {
		return planWithin(time.Until(deadline)-s.cfg.DeadlineMargin, requested)
	}
	return planUnbounded(requested, s.cfg.AnswerGrace), true
}

// answer tells the caller what the outcome table has for an attempt's result.
func answer(cmd command, sched schedule, result slashid.Result, ownCredentials bool) (*quashv1.RevokeResponse, *Error) {
	end := situationOf(result.Kind, ownCredentials, cmd.allowInvalid)
	row := &outcomes[end]
	if row.code == codes.OK {
		resp := &quashv1.RevokeResponse{Outcome: row.outcome, CorrelationId: result.CorrelationID}
		if end == revoked {
			resp.Consistency = cmd.consistency
		}
		return resp, nil
	}
	err := newError(end)
	err.correlationID = result.CorrelationID
	err.cause = result.Err
	if result.RetryAfterSet {
		err.retryDelay = result.RetryAfter
	}
	err.failure.Consistency = cmd.consistency
	err.failure.Timeout = durationpb.New(sched.timeout)
	err.failure.Attempts = 1
	err.failure.UpstreamStatus = int32(result.Status) //nolint:gosec // three digits, says net/http
	if !result.Sent && err.failure.GetState() == stateUnknown {
		err.failure.State = stateNotApplied
	}
	return nil, err
}

func upstreamConsistency(level quashv1.Consistency) slashid.Consistency {
	if level == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
		return slashid.AllRegions
	}
	return slashid.LocalRegion
}
