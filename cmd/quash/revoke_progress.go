package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
)

// How often progress is told: to somebody who watches, and to a file.
const repaintEvery, tellEvery = 250 * time.Millisecond, 10 * time.Second

// progress tells how far a run has come: on a terminal in its last line, which is painted
// over, elsewhere in a line now and then.
type progress struct {
	list *openedList
	// width is how many columns the terminal has; nil where it is none.
	width func() int

	mu      sync.Mutex
	out     io.Writer
	painted string // what stands in the last line
}

func newProgress(out io.Writer, list *openedList) *progress {
	p := &progress{list: list, out: out}
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

// follow tells of the progress until it is stopped.
func (p *progress) follow(ctx context.Context, progress func() bulk.Progress, counts func() journal.Counts) (stop func()) {
	every := tellEvery
	if p.width != nil {
		every = repaintEvery
	}
	stopped := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		interrupted := ctx.Done()
		speed := newSpeed(time.Now())
		for {
			select {
			case <-stopped:
				return
			case <-interrupted:
				interrupted = nil
				p.say("finishing what is in flight; a second Ctrl-C ends it at once")
			case now := <-ticker.C:
				state := progress()
				speed.add(now, state)
				p.tell(bar{state, counts(), p.list.expected(state.Line), speed})
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

func (p *progress) tell(b bar) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == nil {
		fmt.Fprintf(p.out, "quash: %s\n", b.line())
		return
	}
	p.paint(b.fit(p.width()))
}

// expected is about how many lines a list has of which so many have been read; 0 where
// nobody knows.
func (l *openedList) expected(line int64) int64 {
	read := l.Offset()
	if l.size() == 0 || read == 0 || line == 0 {
		return 0
	}
	return max(line, int64(float64(line)*float64(l.size())/float64(read)))
}
