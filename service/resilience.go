package service

import (
	"math/rand/v2"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// maxAttempts is how often one call asks SlashID at the most.
	maxAttempts = 3
	// The back-off before attempt n+1 is drawn evenly from 0 to backoffBase·2ⁿ⁻¹.
	backoffBase = 100 * time.Millisecond

	// At most this share of what is in progress may be repetitions, so that an
	// upstream that is slow to fail is not asked three times as much; below the floor
	// the share does not matter. See inFlight.
	retryShare = 0.2
	retryFloor = 10

	// The breaker opens when this share of at least breakerLeast attempts within
	// breakerWindow failed, and lets probes through after Config.BreakerRest or so.
	breakerShare       = 0.5
	breakerLeast       = 20
	breakerWindow      = 10 * time.Second
	defaultBreakerRest = 5 * time.Second
	// One probe that is answered closes it, breakerProbes that fail open it again.
	// So many are let through at a time, because one may wait two minutes for its
	// consistency, and the breaker cannot close while they all do.
	breakerProbes = 10
)

// backoff is the delay after so many attempts: full jitter, which spreads the
// calls that failed together.
func backoff(attempts int) time.Duration {
	return rand.N(backoffBase<<(attempts-1) + 1) //nolint:gosec // not a secret
}

func newBreaker(rest time.Duration) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakerShare, breakerLeast, breakerWindow).
		WithDelay(rest).
		WithJitterFactor(0.25).
		WithSuccessThresholdRatio(1, breakerProbes).
		Build()
}

// reportToBreaker reports to the breaker how an attempt ended.
//
// Only what speaks for an upstream that is down counts as a failure. An answer never
// does unless it says so itself, and neither does a caller's impatience: attempts that
// were sent do not end with their callers. An attempt that was not sent, because its
// caller left, says nothing; but every probe must be accounted for, and that one has not
// shown that upstream is back.
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
