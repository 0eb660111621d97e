package client

import "sync"

const (
	// throttleMax is the maximum number of tokens. Retries stop at half of it, so
	// after 50 failures in a row.
	throttleMax = 100
	// throttleEarned is the number of tokens that a success adds: ten successes allow one
	// retry.
	throttleEarned = 0.1
)

// throttle limits the retries of a client, so that they do not overload a quash that is
// recovering. It works like gRPC's retry throttling (gRFC A6).
type throttle struct {
	mu     sync.Mutex
	tokens float64
}

func newThrottle() *throttle { return &throttle{tokens: throttleMax} }

func (t *throttle) succeeded() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens = min(t.tokens+throttleEarned, throttleMax)
}

// failed counts a failure, and reports whether a retry is allowed.
func (t *throttle) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens = max(t.tokens-1, 0)
	return t.tokens > throttleMax/2
}
