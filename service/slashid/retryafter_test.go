package slashid_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	// RFC 9110's example date, half a minute before.
	now := time.Date(1994, time.November, 6, 8, 49, 7, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		// Seconds.
		"0":                    time.Second,
		"1":                    time.Second,
		"007":                  7 * time.Second,
		"120":                  2 * time.Minute,
		"86399":                day - time.Second,
		"86400":                day,
		"86401":                day,
		"9223372037":           day, // one more second than a time.Duration can have
		"9223372036854775808":  day, // one more than the largest int64
		"99999999999999999999": day, // more than a uint64

		// Dates, in the three formats of RFC 9110 section 5.6.7.
		"Sun, 06 Nov 1994 08:49:37 GMT":  30 * time.Second,
		"Sunday, 06-Nov-94 08:49:37 GMT": 30 * time.Second,
		"Sun Nov  6 08:49:37 1994":       30 * time.Second,
		"Sun, 06 Nov 1994 08:49:07 GMT":  time.Second,
		"Sun, 06 Nov 1994 08:49:06 GMT":  time.Second,
		"Mon, 07 Nov 1994 08:49:07 GMT":  day,
		"Mon, 07 Nov 1994 08:49:08 GMT":  day,
		"Fri, 31 Dec 9999 23:59:59 GMT":  day,
		"Sat, 01 Jan 0000 00:00:00 GMT":  time.Second,

		// Neither.
		"":                                0,
		" ":                               0,
		"-1":                              0,
		"+1":                              0,
		"1.5":                             0,
		"1e3":                             0,
		"0x10":                            0,
		"1 ":                              0,
		"1s":                              0,
		"\u0661":                          0, // a digit, but of another script
		"1\x00":                           0,
		"soon":                            0,
		"1994-11-06T08:49:37Z":            0,
		"Sun, 06 Nov 1994 08:49:37":       0,
		"Sun, 06 Nov 1994 08:49:37 +0100": 0,
		"Sun, 31 Feb 1994 08:49:37 GMT":   0,
	} {
		if got := slashid.RetryAfter([]string{value}, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	for _, tt := range []struct {
		values []string
		now    time.Time
		want   time.Duration
	}{
		{nil, now, 0},
		{[]string{"3", "soon", "9", "4"}, now, 9 * time.Second},
		{[]string{"soon", "never"}, now, 0},
		{[]string{"20", "Sun, 06 Nov 1994 08:49:37 GMT"}, now, 30 * time.Second},
		{[]string{"0", "Sun, 06 Nov 1994 08:49:06 GMT"}, now, time.Second},
		{[]string{"Sun, 06 Nov 1994 08:49:37 GMT"}, now.Add(1), 30 * time.Second}, // rounded up
		{[]string{"Sun, 06 Nov 1994 08:49:37 GMT"}, now.Add(-1), 31 * time.Second},
	} {
		if got := slashid.RetryAfter(tt.values, tt.now); got != tt.want {
			t.Errorf("%q at %v: got %v, want %v", tt.values, tt.now, got, tt.want)
		}
	}
}

// Of two values the longer wait counts. It is what is asked for, in whole seconds between
// one and a day; there is none if neither value is seconds or a date.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", "007", "86399", "86401", "-1", "+1", "1.5", "1 ", "9223372037", "99999999999999999999", "soon", "\u0661", "1\x00",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 +0100",
	} {
		f.Add(value, "3", int64(784111747), int64(1))
	}
	for _, now := range []int64{-1 << 62, 1 << 62, 784111777, 784111778, 784111777 - 86400, 784111777 - 86401} {
		f.Add("Sun, 06 Nov 1994 08:49:37 GMT", "", now, int64(0))
	}
	f.Fuzz(func(t *testing.T, one, other string, unix, nanos int64) {
		now := time.Unix(unix, nanos)
		got := slashid.RetryAfter([]string{one, other}, now)
		if got != 0 && got < slashid.MinRetryAfter || got > slashid.MaxRetryAfter || got%time.Second != 0 {
			t.Errorf("%q, %q: out of range: %v", one, other, got)
		}
		if want := max(wantRetryAfter(one, now), wantRetryAfter(other, now)); got != want {
			t.Errorf("%q, %q at %v: got %v, want %v", one, other, now, got, want)
		}
	})
}

// wantRetryAfter is said without any shortcut, and without a difference that may overflow.
func wantRetryAfter(value string, now time.Time) time.Duration {
	if value != "" && strings.Trim(value, "0123456789") == "" {
		digits := strings.TrimLeft(value, "0")
		if len(digits) > len("86400") {
			return slashid.MaxRetryAfter
		}
		seconds, _ := strconv.Atoi("0" + digits)
		return min(max(time.Duration(seconds)*time.Second, slashid.MinRetryAfter), slashid.MaxRetryAfter)
	}
	date, err := http.ParseTime(value)
	switch {
	case err != nil:
		return 0
	case date.Before(now.Add(slashid.MinRetryAfter)):
		return slashid.MinRetryAfter
	case date.After(now.Add(slashid.MaxRetryAfter)):
		return slashid.MaxRetryAfter
	}
	delay := date.Sub(now)
	if rest := delay % time.Second; rest > 0 {
		delay += time.Second - rest
	}
	return delay
}
