package slashid_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	// RFC 9110's example date, half a minute before.
	now := time.Date(1994, time.November, 6, 8, 49, 7, 0, time.UTC)
	for _, tc := range []struct {
		value  string
		want   time.Duration
		wantOK bool
	}{
		// Seconds.
		{"0", 0, true},
		{"1", time.Second, true},
		{"007", 7 * time.Second, true},
		{"120", 2 * time.Minute, true},
		{"86399", day - time.Second, true},
		{"86400", day, true},
		{"86401", day, true},
		{"9223372036", day, true},           // the most seconds in a time.Duration
		{"9223372037", day, true},           // one more
		{"9223372036854775807", day, true},  // the largest int64
		{"9223372036854775808", day, true},  // one more
		{"99999999999999999999", day, true}, // more than a uint64

		// Dates, in the three formats of RFC 9110 section 5.6.7.
		{"Sun, 06 Nov 1994 08:49:37 GMT", 30 * time.Second, true},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 30 * time.Second, true},
		{"Sun Nov  6 08:49:37 1994", 30 * time.Second, true},
		{"Sun, 06 Nov 1994 08:49:07 GMT", 0, true},
		{"Sun, 06 Nov 1994 08:49:06 GMT", 0, true},
		{"Mon, 07 Nov 1994 08:49:07 GMT", day, true},
		{"Mon, 07 Nov 1994 08:49:08 GMT", day, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", day, true},
		{"Sat, 01 Jan 0000 00:00:00 GMT", 0, true},

		// Neither.
		{"", 0, false},
		{" ", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{"1.5", 0, false},
		{"1,5", 0, false},
		{"1e3", 0, false},
		{"0x10", 0, false},
		{"1 ", 0, false},
		{"1s", 0, false},
		{"\u0661", 0, false}, // a digit, but of another script
		{"1\x00", 0, false},
		{"soon", 0, false},
		{"1994-11-06T08:49:37Z", 0, false},
		{"Sun, 06 Nov 1994 08:49:37", 0, false},
		{"Sun, 06 Nov 1994 08:49:37 +0100", 0, false},
		{"Sun, 31 Feb 1994 08:49:37 GMT", 0, false},
	} {
		got, ok := slashid.ParseRetryAfter(tc.value, now)
		if got != tc.want || ok != tc.wantOK {
			t.Errorf("%q: got %v, %t, want %v, %t", tc.value, got, ok, tc.want, tc.wantOK)
		}
	}
}

// Whatever comes, the wait is what is asked for, between none and a day, and only
// what is neither seconds nor a date is refused.
func FuzzParseRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", "007", "86399", "86401", "-1", "+1", "1.5", "1 ", "9223372037", "99999999999999999999", "soon", "\u0661", "1\x00",
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 +0100",
	} {
		f.Add(value, int64(784111747))
	}
	for _, now := range []int64{-1 << 62, 1 << 62, 784111777, 784111778, 784111777 - 86400, 784111777 - 86401} {
		f.Add("Sun, 06 Nov 1994 08:49:37 GMT", now)
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		now := time.Unix(unix, 0)
		got, ok := slashid.ParseRetryAfter(value, now)
		if got < 0 || got > slashid.MaxRetryAfter {
			t.Errorf("%q is out of range: %v", value, got)
		}
		if !ok && got != 0 {
			t.Errorf("%q is unreadable, and yet %v", value, got)
		}
		date, err := http.ParseTime(value)
		if readable := consistsOfDigits(value) || err == nil; ok != readable {
			t.Errorf("%q: got %t, want %t", value, ok, readable)
		}
		if !ok {
			return
		}
		want := slashid.MaxRetryAfter
		if err == nil {
			// Compared rather than subtracted, since a difference may overflow.
			switch {
			case !date.After(now):
				want = 0
			case date.Before(now.Add(want)):
				want = date.Sub(now)
			}
		} else if digits := strings.TrimLeft(value, "0"); len(digits) <= len("86400") {
			seconds, _ := strconv.Atoi("0" + digits)
			want = min(want, time.Duration(seconds)*time.Second)
		}
		if got != want {
			t.Errorf("%q at %d: got %v, want %v", value, unix, got, want)
		}
	})
}

func consistsOfDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}
