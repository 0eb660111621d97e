package bulk

import (
	"fmt"
	"time"
)

const (
	// outagePatience is how long a run that is not to go on until all is dead waits
	// while nothing gets through.
	outagePatience = 5 * time.Minute
	// leastFailures is how many answers in a row must have got nowhere for an outage,
	// however few are asked at a time.
	leastFailures = 8
	// Between two tries during an outage it waits from the first of these to the last.
	firstProbe, lastProbe = time.Second, 30 * time.Second
	// pauseUnsaid is how long to pause when whoever asks for it does not say.
	pauseUnsaid = time.Second
	// toldPause is how long a pause is that somebody may wonder about.
	toldPause = 10 * time.Second
	// remindAfter is how often it is told that an outage goes on.
	remindAfter = 30 * time.Second
)

// gate decides how many may be asked about at a time. While nothing gets through it lets
// one pass now and then: whatever the cause is, the rest of the list would fare no better,
// and quash is not to be found under a flood when it comes back.
type gate struct {
	concurrency int
	notify      func(string)

	until    time.Time // nobody is asked before
	failures int       // answers in a row that got nowhere
	since    time.Time // when the outage was noticed; zero while there is none
	probe    time.Duration
	reminded time.Time
}

// limit is how many may be in flight.
func (g *gate) limit() int {
	if g.closed() {
		return 1
	}
	return g.concurrency
}

// closed reports whether there is an outage.
func (g *gate) closed() bool { return !g.since.IsZero() }

// passed notes an answer that got through.
func (g *gate) passed(now time.Time) {
	g.failures = 0
	if !g.closed() {
		return
	}
	g.notify(fmt.Sprintf("calls get through again, after %s", now.Sub(g.since).Round(time.Second)))
	g.since, g.until = time.Time{}, time.Time{}
}

// failed notes one that did not, when it was sent, and why. left is how many lines there
// are to ask about.
func (g *gate) failed(now, sent time.Time, a Answer, left int) {
	if a.exhausted() {
		if a.RetryDelay >= toldPause && !g.until.After(now) {
			g.notify(fmt.Sprintf("nothing is asked for %s, as the server wants it (%s)", a.RetryDelay.Round(time.Second), a.because()))
		}
		g.pause(now, max(a.RetryDelay, pauseUnsaid))
	}
	g.failures++
	switch {
	case g.closed() && sent.Before(g.since): // it is no probe, and says nothing new
	case g.closed():
		g.probe = min(2*g.probe, lastProbe)
		g.pause(now, max(g.probe, a.RetryDelay))
		if now.Sub(g.reminded) >= remindAfter {
			g.reminded = now
			g.notify(fmt.Sprintf("nothing has got through for %s (%s); the next try is in %s", now.Sub(g.since).Round(time.Second), a.because(), g.until.Sub(now).Round(time.Second)))
		}
	case g.failures >= max(min(g.concurrency, left), leastFailures):
		g.since, g.probe, g.reminded = now, firstProbe, now
		g.pause(now, max(g.probe, a.RetryDelay))
		g.notify(fmt.Sprintf("nothing gets through (%s): from now on one token at a time is tried, the next in %s", a.because(), g.until.Sub(now).Round(time.Second)))
	}
}

func (g *gate) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(g.until) {
		g.until = until
	}
}

// ends is when the outage has lasted longer than a run waits.
func (g *gate) ends() time.Time { return g.since.Add(outagePatience) }

// lost reports whether that is so.
func (g *gate) lost(now time.Time) bool { return g.closed() && !now.Before(g.ends()) }
