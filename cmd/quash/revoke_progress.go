package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/quashdev/quash/internal/bulk"
)

// How often progress is shown: on a terminal, and in a file.
const repaintEvery, logEvery = 250 * time.Millisecond, 10 * time.Second

// progress shows how far a run has come: on a terminal in the last line, which is painted
// over, elsewhere in a line now and then.
type progress struct {
	// width is how many columns the terminal has; nil where there is none.
	width func() int

	mu      sync.Mutex
	out     io.Writer
	painted string // what stands in the last line
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if terminal, ok := terminalOf(out); ok && os.Getenv("TERM") != "dumb" {
		p.width = func() int {
			width, _, err := term.GetSize(int(terminal.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	return p
}

// say writes a line above the progress.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	painted := p.painted
	p.paint("")
	fmt.Fprintf(p.out, "quash: %s\n", withoutTokens(text))
	p.paint(painted)
}

// paint makes text the last line of the terminal. It must fit.
func (p *progress) paint(text string) {
	if text == "" && p.painted == "" {
		return
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", text)
	p.painted = text
}

// follow shows the progress until it is stopped.
func (p *progress) follow(ctx context.Context, progress func() bulk.Progress) (stop func()) {
	every := logEvery
	if p.width != nil {
		every = repaintEvery
	}
	stopped := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		interrupted := ctx.Done()
		speed := speed{at: time.Now()}
		for {
			select {
			case <-stopped:
				return
			case <-interrupted:
				interrupted = nil
				p.say("finishing what is in flight; a second Ctrl-C ends it at once")
			case now := <-ticker.C:
				state := progress()
				speed.add(now, state.Calls)
				p.show(bar{state, speed})
			}
		}
	})
	return func() {
		close(stopped)
		following.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paint("")
	}
}

func (p *progress) show(b bar) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == nil {
		fmt.Fprintf(p.out, "quash: %s\n", strings.Join(b.parts(), ", "))
		return
	}
	p.paint(b.fit(p.width()))
}

// speed is how many calls were answered in a second of late.
type speed struct {
	at        time.Time
	calls     int
	perSecond float64
}

// recent is how much the last seconds count against all before.
const recent = 5 * time.Second

func (s *speed) add(now time.Time, calls int) {
	passed := now.Sub(s.at).Seconds()
	if passed <= 0 {
		return
	}
	weight := min(1, passed/recent.Seconds())
	if s.calls == 0 {
		weight = 1
	}
	s.perSecond += weight * (float64(calls-s.calls)/passed - s.perSecond)
	s.at, s.calls = now, calls
}

// bar is the progress in one line.
type bar struct {
	bulk.Progress
	speed
}

// parts are what there is to say, the most important first.
func (b bar) parts() []string {
	parts := []string{fmt.Sprintf("%s of %s tokens", grouped(b.Settled), grouped(b.Tokens))}
	if !b.Outage.IsZero() {
		parts = append(parts, fmt.Sprintf("nothing gets through for %s", b.at.Sub(b.Outage).Round(time.Second)))
	}
	parts = append(parts, grouped(b.Outcomes[bulk.Dead])+" dead")
	for _, outcome := range []bulk.Outcome{bulk.NotApplied, bulk.Unknown, bulk.InProgress, bulk.Rejected, bulk.NoToken} {
		if n := b.Outcomes[outcome]; n > 0 {
			parts = append(parts, grouped(n)+" "+strings.ReplaceAll(string(outcome), "_", " "))
		}
	}
	if left := float64(b.Tokens-b.Settled) / b.perSecond; b.Outage.IsZero() && left < maxLeft.Seconds() { // nor NaN
		parts = append(parts, fmt.Sprintf("%s left", time.Duration(left*float64(time.Second)).Round(time.Second)))
	}
	return append(parts, grouped(int(b.perSecond+0.5))+"/s")
}

// maxLeft is the longest time left that is worth showing.
const maxLeft = 100 * time.Hour

// minColumns is the width of a terminal that has room for a bar next to the words.
const minColumns, barWidth = 60, 10

// fit is as much of it as goes into a line of so many columns. All characters are ASCII,
// one column each.
func (b bar) fit(columns int) string {
	room := columns - 1 // the last column makes some terminals go to the next line
	text := ""
	if b.Tokens > 0 && columns > minColumns {
		done := barWidth * b.Settled / b.Tokens
		text = fmt.Sprintf("[%s%s] %3d%%", strings.Repeat("#", done), strings.Repeat("-", barWidth-done), 100*b.Settled/b.Tokens)
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
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
