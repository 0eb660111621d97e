package service

import "time"

// The timeouts of SlashID's header SlashID-Required-Consistency-Timeout.
const (
	MinTimeout     = 1 * time.Second
	MaxTimeout     = 120 * time.Second
	DefaultTimeout = 30 * time.Second
)

// defaultAnswerGrace is Config.AnswerGrace unless it says otherwise.
const defaultAnswerGrace = 5 * time.Second

// schedule is how an attempt spends its caller's time.
type schedule struct {
	// timeout is sent to SlashID: whole seconds from MinTimeout to MaxTimeout.
	timeout time.Duration
	// due is how long from now the answer may take.
	due time.Duration
}

// planWithin schedules an attempt whose answer is due within left: what is left
// of the caller's deadline, less the margin that it takes to bring the answer
// and its details to the caller before its own clock ends the call. requested is
// the timeout asked for, 0 meaning none. It reports false when nothing is left.
//
// Where less than MinTimeout is left SlashID is still asked, with MinTimeout:
// it mostly answers at once, and its answer may take until due.
func planWithin(left, requested time.Duration) (schedule, bool) {
	if left <= 0 {
		return schedule{}, false
	}
	return schedule{timeout: upstreamTimeout(min(orDefault(requested), left)), due: left}, true
}

// planUnbounded schedules an attempt for a caller without a deadline: SlashID
// may take grace longer than the timeout that it is given.
func planUnbounded(requested, grace time.Duration) schedule {
	timeout := upstreamTimeout(orDefault(requested))
	return schedule{timeout: timeout, due: timeout + grace}
}

func orDefault(requested time.Duration) time.Duration {
	if requested == 0 {
		return DefaultTimeout
	}
	return requested
}

// upstreamTimeout is d as SlashID's header can say it.
func upstreamTimeout(d time.Duration) time.Duration {
	return min(max(d.Truncate(time.Second), MinTimeout), MaxTimeout)
}
