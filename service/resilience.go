package service

import (
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// maxAttempts is the maximum number of attempts of a call.
	maxAttempts = 3
	// The back-off before attempt n+1 is random, from 0 to backoffBase·2ⁿ⁻¹.
	backoffBase = 100 * time.Millisecond

	// Retries may be at most this share of the revocations and retries in flight, so that
	// an upstream that fails slowly does not get three times the load. Up to retryFloor
	// retries are always allowed. See inFlight.
	retryShare = 0.2
	retryFloor = 10

	// The circuit breaker opens when breakerShare of at least breakerMinimum attempts
	// within breakerWindow failed. After about Config.BreakerRest it lets probes through.
	breakerShare       = 0.5
	breakerMinimum     = 20
	breakerWindow      = 10 * time.Second
	defaultBreakerRest = 5 * time.Second
	// One probe that succeeds closes the breaker; breakerProbes that fail open it again.
	// That many run at a time, because a probe can wait two minutes for its consistency,
	// and the breaker cannot close while all of them wait.
	breakerProbes = 10
)

// backoff returns the delay after a number of attempts. It is random (full jitter), so that
// calls that failed at the same time do not retry at the same time.
func backoff(attempts int) time.Duration {
	return rand.N(backoffBase<<(attempts-1) + 1) //nolint:gosec // not a secret
}

func newBreaker(rest time.Duration) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerShare, breakerMinimum, breakerWindow).
		WithDelay(rest).
		WithJitterFactor(0.25).
		WithSuccessThresholdRatio(1, breakerProbes).
		Build()
}

// reportToBreaker reports the outcome of an attempt to the circuit breaker.
//
// An attempt counts as a failure only if it shows that the upstream is down. A response
// does so only with a status such as 503. A short deadline of the caller does not, because
// an attempt that was sent outlives it. An attempt that was not sent, because its caller
// stopped waiting, is a failure (neverConnected) only if no request got a connection in that
// time: it may only have waited for its turn. Otherwise it shows neither; but a half-open breaker needs a result for every probe, and
// this probe has not shown that the upstream works.
func (s *TokenService) reportToBreaker(o outcome) {
	switch o {
	case upstreamUnavailable, neverConnected, connectionLost, noAnswer:
		s.breaker.RecordFailure()
	case callerCancelled, internalDefect:
		if s.breaker.IsHalfOpen() {
			s.breaker.RecordFailure()
		}
	default:
		s.breaker.RecordSuccess()
	}
}
