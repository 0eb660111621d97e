package client

import "sync"

const (
	// throttleMax is how many repetitions may be had at once, twice over.
	throttleMax = 100
	// throttleEarned is what a success is worth: one repetition for ten of them.
	throttleEarned = 0.1
)

// throttle keeps the repetitions of a client few beside its calls, so that they do not
// keep down a quash that is trying to get up: gRPC's own retry throttling (gRFC A6).
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

// failed counts a failure, and reports whether it may be followed by a repetition.
func (t *throttle) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens = max(t.tokens-1, 0)
	return t.tokens > throttleMax/2
}
