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

// retryAfter reads the header Retry-After, whose values are seconds or HTTP dates (RFC 9110
// section 10.2.3). It returns the longest delay in whole seconds, from minRetryAfter to
// maxRetryAfter, and 0 if no value can be read. A date is compared with the answer's Date, not
// with now, because the clocks may differ; now stands in for a missing Date.
func retryAfter(answer http.Header, now time.Time) (longest time.Duration) {
	values := answer.Values("Retry-After")
	if len(values) == 0 {
		return 0
	}
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		now = date
	}
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
