package client

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const (
	// The default and the maximum timeout of a request, the same as in quash.
	defaultTimeout = 30 * time.Second
	maxTimeout     = 120 * time.Second
	// answerGrace is added to the timeout of a call without a deadline. quash answers
	// within that time, even if SlashID does not.
	answerGrace = 5 * time.Second

	// defaultAttempts is the default maximum number of attempts of a call.
	defaultAttempts = 3
	// The back-off before attempt n+1 is random, from 0 to backoffBase·2ⁿ⁻¹ and at most
	// backoffMax. The delay that quash asks for is added.
	backoffBase = 100 * time.Millisecond
	backoffMax  = 2 * time.Second
	// minAttemptTime is the minimum time for an attempt. With less time left, the error of
	// the last attempt is worth more than a new one that runs out of time.
	minAttemptTime = 100 * time.Millisecond
)

const (
	stateUnspecified = quashv1.RevocationState_REVOCATION_STATE_UNSPECIFIED
	stateNotApplied  = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	stateUnknown     = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

// revoking adds deadlines, retries and states to calls of Revoke, see doc.go.
type revoking struct {
	attempts int
	throttle *throttle
}

func newRevoking(attempts int) *revoking {
	return &revoking{attempts: cmp.Or(attempts, defaultAttempts), throttle: newThrottle()}
}

// intercept implements grpc.UnaryClientInterceptor.
func (r *revoking) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	request, ok := req.(*quashv1.RevokeRequest)
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	ctx, cancel := withDeadline(ctx, request)
	defer cancel()
	ambiguous := false // an earlier attempt may have been applied
	for n := 1; ; n++ {
		a := &attempt{}
		err := invoke(context.WithValue(ctx, attemptKey{}, a), method, request, reply, cc, opts...)
		if err == nil {
			r.throttle.succeeded()
			return nil
		}
		failure, err := a.settle(err, ambiguous)
		if failure.Code != codes.Unavailable || !r.throttle.failed() || !failure.Retryable || n >= r.attempts {
			return err
		}
		deadline, _ := ctx.Deadline()
		spread := pause(n)
		// Subtract, because a sum with RetryDelay could overflow.
		if time.Until(deadline)-spread-minAttemptTime < failure.RetryDelay {
			return err
		}
		if failure.State == stateUnknown && !ambiguous {
			ambiguous = true
			request = acceptingInvalid(request)
		}
		if ctxErr := wait(ctx, failure.RetryDelay+spread); ctxErr != nil {
			return withState(status.FromContextError(ctxErr).Err(), failure.State)
		}
	}
}

// withDeadline sets a deadline for a call that has none. Without one the call would wait
// forever if quash cannot be reached.
func withDeadline(ctx context.Context, req *quashv1.RevokeRequest) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	timeout := cmp.Or(req.GetTimeout().AsDuration(), defaultTimeout)
	return context.WithTimeout(ctx, min(max(timeout, 0), maxTimeout)+answerGrace)
}

// settle reads err, and returns it with the state of the whole call. An error that does not
// come from quash has no state. It gets NOT_APPLIED if the request was not sent, otherwise
// UNKNOWN.
func (a *attempt) settle(err error, ambiguous bool) (*FailureInfo, error) {
	failure := read(status.Convert(err))
	state := failure.State
	if state == stateUnspecified {
		state = stateNotApplied
		if a.sent.Load() {
			state = stateUnknown
		}
	}
	if state == stateNotApplied && ambiguous {
		state = stateUnknown
	}
	if state != failure.State {
		failure.State, err = state, withState(err, state)
	}
	return failure, err
}

// acceptingInvalid returns req for a retry after an attempt that may have been applied. An
// invalid token is then a success, because this call may have revoked it.
func acceptingInvalid(req *quashv1.RevokeRequest) *quashv1.RevokeRequest {
	again := &quashv1.RevokeRequest{}
	proto.Merge(again, req)
	again.AllowInvalid = true
	return again
}

// pause returns the delay after a number of attempts. It is random (full jitter), so that
// calls that failed at the same time do not retry at the same time.
func pause(attempts int) time.Duration {
	limit := backoffBase
	for range attempts - 1 {
		limit = min(2*limit, backoffMax)
	}
	return rand.N(limit + 1) //nolint:gosec // not a secret
}

func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
