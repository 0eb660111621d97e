package slashid

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The minimum and the maximum delay. With 0, or a date in the past, a client that is
// rejected would retry in a loop. A day is longer than any caller waits, and keeps large
// numbers from overflowing.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// retryAfter returns the delay in the values of the header Retry-After, in whole seconds from
// minRetryAfter to maxRetryAfter. Each value is a number of seconds or an HTTP date (RFC 9110
// section 10.2.3). The largest of several values counts. Without a valid value the delay is 0.
func retryAfter(values []string, now time.Time) (longest time.Duration) {
	for _, value := range values {
		longest = max(longest, parseRetryAfter(value, now))
	}
	return longest
}

func parseRetryAfter(value string, now time.Time) time.Duration {
	if isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return max(time.Duration(seconds)*time.Second, minRetryAfter)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	delay := min(max(date.Sub(now), minRetryAfter), maxRetryAfter)
	return (delay + time.Second - 1).Truncate(time.Second)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
