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
	// The timeouts of a request, as quash has them.
	defaultTimeout = 30 * time.Second
	maxTimeout     = 120 * time.Second
	// answerGrace is how much longer than its timeout a call may take that has no
	// deadline: quash has an answer by then, whatever SlashID does.
	answerGrace = 5 * time.Second

	// defaultAttempts is how often a call asks quash at the most.
	defaultAttempts = 3
	// The back-off before attempt n+1 is drawn evenly from 0 to backoffBase·2ⁿ⁻¹, at most
	// backoffMax. The delay that quash asks for comes on top.
	backoffBase = 100 * time.Millisecond
	backoffMax  = 2 * time.Second
	// leastLeft is what an attempt needs to do better than the answer that there is.
	leastLeft = 100 * time.Millisecond
)

const (
	stateUnspecified = quashv1.RevocationState_REVOCATION_STATE_UNSPECIFIED
	stateNotApplied  = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	stateUnknown     = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

// revoking makes calls of Revoke what doc.go promises.
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
		// Not added up before it is known to fit: the delay can be as long as there are.
		if time.Until(deadline)-spread-leastLeft < failure.RetryDelay {
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

// withDeadline gives a call a deadline if it has none. Without one it would wait forever
// for a quash that does not exist.
func withDeadline(ctx context.Context, req *quashv1.RevokeRequest) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	timeout := cmp.Or(req.GetTimeout().AsDuration(), defaultTimeout)
	return context.WithTimeout(ctx, min(max(timeout, 0), maxTimeout)+answerGrace)
}

// settle returns what err says, and err with the state of the whole call. An error that
// was made on the way to quash has no state: it is UNKNOWN, or NOT_APPLIED if nothing was
// sent.
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

// acceptingInvalid is req for a repetition after an attempt that may have been applied.
// That the token is invalid is what the caller wants then: it is dead by our own doing,
// or was before.
func acceptingInvalid(req *quashv1.RevokeRequest) *quashv1.RevokeRequest {
	again := &quashv1.RevokeRequest{}
	proto.Merge(again, req)
	again.AllowInvalid = true
	return again
}

// pause is the delay after so many attempts: full jitter, which spreads the calls
// that failed together.
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
