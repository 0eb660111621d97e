package service

import "time"

// The timeouts of SlashID's header SlashID-Required-Consistency-Timeout.
const (
	MinTimeout     = 1 * time.Second
	MaxTimeout     = 120 * time.Second
	DefaultTimeout = 30 * time.Second
)

// DefaultDeadlineMargin is what is kept back of a caller's deadline unless
// Config says otherwise.
const DefaultDeadlineMargin = 20 * time.Millisecond

// answerGrace is how much longer than its timeout SlashID may take to answer a
// call that has no deadline of its own.
const answerGrace = 5 * time.Second

// schedule is how an attempt spends its caller's time.
type schedule struct {
	// timeout is sent to SlashID: whole seconds from MinTimeout to MaxTimeout.
	timeout time.Duration
	// due is how long from now the answer may take.
	due time.Duration
}

// plan divides what is left of a call's time. requested is the timeout asked
// for, 0 meaning none; remaining is what is left of the caller's deadline, when
// hasDeadline; margin is what it takes to get an answer with its details back
// to the caller before its own clock ends the call. It reports false when
// nothing is left to spend.
//
// Where less than MinTimeout is left SlashID is still asked, with MinTimeout:
// it mostly answers at once, and its answer may take until due.
func plan(requested, remaining time.Duration, hasDeadline bool, margin time.Duration) (schedule, bool) {
	timeout := requested
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if !hasDeadline {
		timeout = wholeSeconds(timeout)
		return schedule{timeout: timeout, due: timeout + answerGrace}, true
	}
	due := remaining - margin
	if due <= 0 {
		return schedule{}, false
	}
	return schedule{timeout: wholeSeconds(min(timeout, due)), due: due}, true
}

func wholeSeconds(d time.Duration) time.Duration {
	return min(max(d.Truncate(time.Second), MinTimeout), MaxTimeout)
}
