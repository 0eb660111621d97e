package slashid

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	// Half a minute before the example date of RFC 9110.
	now := time.Date(1994, time.November, 6, 8, 49, 7, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0":                   time.Second,
		"120":                 2 * time.Minute,
		"86401":               day,
		"9223372037":          day, // one more second than a time.Duration can have
		"9223372036854775808": day, // one more than the largest int64

		// Dates, in the three formats of RFC 9110 section 5.6.7.
		"Sun, 06 Nov 1994 08:49:37 GMT":  30 * time.Second,
		"Sunday, 06-Nov-94 08:49:37 GMT": 30 * time.Second,
		"Sun Nov  6 08:49:37 1994":       30 * time.Second,
		"Sun, 06 Nov 1994 08:49:06 GMT":  time.Second,
		"Fri, 31 Dec 9999 23:59:59 GMT":  day,

		// Neither a number nor a date.
		"":                                0,
		"-1":                              0,
		"1.5":                             0,
		"\u0661":                          0, // a digit, but of another script
		"Sun, 06 Nov 1994 08:49:37 +0100": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {"soon", value}}, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	if got := retryAfter(http.Header{"Retry-After": {"3", "soon", "9", "4"}}, now); got != 9*time.Second {
		t.Errorf("of several: got %v, want the longest", got)
	}
	if got := retryAfter(http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, now.Add(-1)); got != 31*time.Second {
		t.Errorf("got %v, want it rounded up", got)
	}
	const later, date = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:32 GMT"
	for _, wrong := range []time.Duration{-time.Hour, time.Hour} {
		if got := retryAfter(http.Header{"Retry-After": {later}, "Date": {date}}, now.Add(wrong)); got != 5*time.Second {
			t.Errorf("with a clock that is %v off: got %v, want 5s", wrong, got)
		}
	}
}
