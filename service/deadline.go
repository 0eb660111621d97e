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

// LongestCall is how long a call may take whose caller sets no deadline.
const LongestCall = MaxTimeout + defaultAnswerGrace

// timeoutWithin is the timeout to send with an attempt whose caller must have its
// answer within left: whole seconds from MinTimeout to MaxTimeout. requested is
// the timeout asked for, 0 meaning none.
//
// Where less than MinTimeout is left SlashID is still asked, with MinTimeout:
// it mostly answers at once, and its answer may take until it is due.
func timeoutWithin(left, requested time.Duration) time.Duration {
	return upstreamTimeout(min(orDefault(requested), left))
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
