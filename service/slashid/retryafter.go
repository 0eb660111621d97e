package slashid

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The least and the most that an answer can ask for. Neither 0 nor a date in the past
// can mean that the request should come again at once: a client that was refused would
// loop. A day is longer than any caller waits, and an hour in the wrong unit must not
// overflow.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// retryAfter reads the values of the header Retry-After, each delay seconds or an HTTP
// date (RFC 9110 section 10.2.3), as a duration from now in whole seconds from
// minRetryAfter to maxRetryAfter. Of several values the largest counts. It is 0 if none
// can be read.
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
