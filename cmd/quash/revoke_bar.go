package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
)

// speed is how fast a run has been of late.
type speed struct {
	at    time.Time
	begun bool
	asked int64
	line  int64

	calls float64 // answers a second
	lines float64 // lines a second, those that an earlier run has done among them
}

func newSpeed(now time.Time) *speed { return &speed{at: now} }

// recent is how much the last seconds count against all before.
const recent = 5 * time.Second

func (s *speed) add(now time.Time, p bulk.Progress) {
	passed := now.Sub(s.at)
	if passed <= 0 {
		return
	}
	weight := min(1, passed.Seconds()/recent.Seconds())
	if !s.begun {
		weight, s.begun = 1, true
	}
	s.calls += weight * (float64(p.Asked-s.asked)/passed.Seconds() - s.calls)
	s.lines += weight * (float64(p.Line-s.line)/passed.Seconds() - s.lines)
	s.at, s.asked, s.line = now, p.Asked, p.Line
}

// bar is the progress in one line.
type bar struct {
	bulk.Progress

	counts   journal.Counts
	expected int64 // lines; 0 where nobody knows
	*speed
}

// line is all of it, for a file.
func (b bar) line() string { return strings.Join(b.parts(), ", ") }

// parts are what there is to say, the most important first.
func (b bar) parts() (parts []string) {
	if b.expected > 0 {
		parts = append(parts, fmt.Sprintf("line %s of about %s", grouped(b.Line), grouped(b.expected)))
	} else {
		parts = append(parts, "line "+grouped(b.Line))
	}
	if !b.Outage.IsZero() {
		parts = append(parts, fmt.Sprintf("nothing gets through for %s", b.at.Sub(b.Outage).Round(time.Second)))
	}
	parts = append(parts, grouped(b.counts[journal.Revoked]+b.counts[journal.AlreadyInvalid])+" dead")
	parts = append(parts, some(
		count{b.counts[journal.NotApplied], "not applied"},
		count{b.counts[journal.Unknown], "unknown"},
		count{b.counts[journal.InProgress], "in progress"},
		count{b.counts[journal.Rejected], "rejected"},
		count{b.counts[journal.Problem], "no token"},
	)...)
	if left, known := b.left(); known {
		parts = append(parts, fmt.Sprintf("%s left", left))
	}
	parts = append(parts, grouped(int64(b.calls+0.5))+"/s")
	return append(parts, some(
		count{b.counts[journal.Duplicate], "duplicate"},
		count{int64(b.Waiting), "waiting"},
	)...)
}

// count is how many lines there are of something.
type count struct {
	n    int64
	what string
}

// some says those counts that are not 0.
func some(counts ...count) (parts []string) {
	for _, c := range counts {
		if c.n > 0 {
			parts = append(parts, grouped(c.n)+" "+c.what)
		}
	}
	return parts
}

// longest is a time left that says more than that nobody knows it.
const longest = 100 * time.Hour

// left is how long it will take if it goes on like this.
func (b bar) left() (time.Duration, bool) {
	seconds := float64(b.expected-b.Line) / b.lines // or nothing that is a number
	if b.expected == 0 || !b.Outage.IsZero() || !(seconds >= 0 && seconds <= longest.Seconds()) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second), true
}

const (
	leastBar, mostBar = 10, 30
	barless           = 60 // columns that are better used for words
)

// fit is as much of it as goes into a line of so many columns. All characters are ASCII,
// one column each.
func (b bar) fit(columns int) string {
	room := columns - 1 // the last column makes some terminals go to the next line
	text := ""
	if b.expected > 0 && columns > barless {
		width := min(max(columns/8, leastBar), mostBar)
		done := int(min(int64(width), int64(width)*b.Line/b.expected))
		text = fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", done), strings.Repeat("-", width-done), min(100, 100*b.Line/b.expected))
	}
	for _, part := range b.parts() {
		separator := "  "
		if text == "" {
			separator = ""
		}
		if len(text)+len(separator)+len(part) <= room {
			text += separator + part
		}
	}
	return text
}

// grouped is n with a comma every three digits.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
