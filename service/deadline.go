package service

import "time"

// The range and the default of SlashID's header SlashID-Required-Consistency-Timeout.
const (
	MinTimeout     = 1 * time.Second
	MaxTimeout     = 120 * time.Second
	DefaultTimeout = 30 * time.Second
)

// defaultAnswerGrace is the default of Config.AnswerGrace.
const defaultAnswerGrace = 5 * time.Second

// LongestCall is the maximum duration of a call without a deadline.
const LongestCall = MaxTimeout + defaultAnswerGrace

// timeoutWithin returns the timeout to send to SlashID with an attempt, in whole seconds
// from MinTimeout to MaxTimeout. left is the time until the caller's answer is due;
// requested is the timeout in the request, or 0 if it has none.
//
// If left is less than MinTimeout, the attempt is still made, with MinTimeout: SlashID
// usually answers at once.
func timeoutWithin(left, requested time.Duration) time.Duration {
	return upstreamTimeout(min(orDefault(requested), left))
}

func orDefault(requested time.Duration) time.Duration {
	if requested == 0 {
		return DefaultTimeout
	}
	return requested
}

// upstreamTimeout returns d rounded and limited to what SlashID's header can express.
func upstreamTimeout(d time.Duration) time.Duration {
	return min(max(d.Truncate(time.Second), MinTimeout), MaxTimeout)
}
