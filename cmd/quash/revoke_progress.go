package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/quashdev/quash/internal/bulk"
)

// progress shows the progress of a run. On a terminal it overwrites the last line each second;
// elsewhere it writes a line every ten seconds.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal *os.File // nil if out is not a terminal
}

func newProgress(out io.Writer) *progress {
	terminal, _ := terminalOf(out)
	return &progress{out: out, terminal: terminal}
}

// say writes a line.
func (p *progress) say(text string) { p.write("quash: " + withoutTokens(text) + "\n") }

func (p *progress) write(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal != nil {
		text = "\r\x1b[K" + text // clears the last line
	}
	_, _ = io.WriteString(p.out, text) // the run continues without a reader
}

// follow shows the progress until stop is called. When ctx ends, it prints how to stop at once.
func (p *progress) follow(ctx context.Context, state func() bulk.Progress) (stop func()) {
	every := 10 * time.Second
	if p.terminal != nil {
		every = time.Second
	}
	stopSaying := context.AfterFunc(ctx, func() { p.say("finishing the calls in flight; press Ctrl-C again to stop at once") })
	stopped := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		calls := 0
		for {
			select {
			case <-stopped:
				return
			case now := <-ticker.C:
				s := state()
				p.show(progressLine(s, now, float64(s.Calls-calls)/every.Seconds()))
				calls = s.Calls
			}
		}
	})
	return func() {
		stopSaying()
		close(stopped)
		following.Wait()
		if p.terminal != nil {
			p.write("")
		}
	}
}

func (p *progress) show(line string) {
	if p.terminal == nil {
		p.say(line)
		return
	}
	if width, _, err := term.GetSize(int(p.terminal.Fd())); err == nil {
		line = line[:min(len(line), max(0, width-1))] // writing to the last column moves some terminals to the next line
	}
	p.write(line)
}

// progressLine returns the progress as text, the most important first. perSecond is the recent
// rate of answered calls.
func progressLine(s bulk.Progress, now time.Time, perSecond float64) string {
	parts := []string{fmt.Sprintf("%d of %d tokens", s.Settled, s.Tokens)}
	if !s.Outage.IsZero() {
		parts = append(parts, fmt.Sprintf("outage for %s", now.Sub(s.Outage).Round(time.Second)))
	}
	parts = append(parts, fmt.Sprintf("%d dead", s.Outcomes[bulk.Dead]))
	for _, outcome := range []bulk.Outcome{bulk.NotApplied, bulk.Unknown, bulk.InProgress, bulk.Rejected, bulk.NoToken} {
		if n := s.Outcomes[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(outcome), "_", " ")))
		}
	}
	if s.Outage.IsZero() && perSecond > 0 {
		left := float64(s.Tokens-s.Settled) / perSecond * float64(time.Second)
		parts = append(parts, fmt.Sprintf("%s left", time.Duration(left).Round(time.Second)))
	}
	return strings.Join(append(parts, fmt.Sprintf("%.0f/s", perSecond)), ", ")
}
