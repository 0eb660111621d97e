package slashid

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter caps what an answer can ask for: a day is already longer than
// anybody waits, and an hour given in a wrong unit must not overflow.
const maxRetryAfter = 24 * time.Hour

// parseRetryAfter reads a Retry-After value, delay seconds or an HTTP date
// (RFC 9110 section 10.2.3), as a duration from now between 0 and
// maxRetryAfter. A date in the past is 0.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
