package bulk

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// outagePatience is how long a run waits while nothing gets through, unless it goes on
	// until all tokens are dead.
	outagePatience = 5 * time.Minute
	// minFailures is how many answers in a row must have got nowhere for an outage, however
	// few calls are made at a time.
	minFailures = 8
	// During an outage the wait before the next call doubles from the first to the last.
	firstProbe, lastProbe = time.Second, 30 * time.Second
	// defaultPause is how long to pause when a server that is called too fast does not say.
	defaultPause = time.Second
	// longPause is how long a pause is that the operator is told about.
	longPause = 10 * time.Second
)

// ErrOutage is why a run ends before its list: nothing gets through any more.
var ErrOutage = errors.New("outage: no call gets through")

// gate says when calls may be made, and whether one at a time. During an outage one call
// is made now and then: whatever the cause is, the rest of the list would fare no better,
// and quash must not be flooded when it comes back.
type gate struct {
	notify  func(string)
	forever bool // whether to wait for the end of any outage

	mu       sync.Mutex
	failures int       // answers in a row that got nowhere
	limit    int       // how many of them make an outage
	until    time.Time // no call is made before
	since    time.Time // when the outage was noticed; zero while there is none
	probe    time.Duration
}

// next is when a call may be made that is due at some time, and whether it has to be the
// only one. During an outage it fails with ErrOutage once that has lasted too long, and
// lets no delay that a server asks for put that off.
func (g *gate) next(due time.Time) (at time.Time, alone bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at = due
	if g.until.After(at) {
		at = g.until
	}
	if g.since.IsZero() {
		return at, false, nil
	}
	end := g.since.Add(outagePatience)
	switch {
	case g.forever:
	case !time.Now().Before(end):
		return at, true, fmt.Errorf("%w for %s", ErrOutage, outagePatience)
	case at.After(end):
		at = end
	}
	return at, true, nil
}

// outage is since when there is one; zero while there is none.
func (g *gate) outage() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since
}

// expect sets how many calls are to be made at a time, and how many tokens there are.
func (g *gate) expect(concurrency, tokens int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(min(concurrency, tokens), minFailures)
}

// answered takes the answer to a call that was sent at some time.
func (g *gate) answered(sent time.Time, a Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if a.throughToSlashID() {
		g.failures = 0
		if !g.since.IsZero() {
			g.notify(fmt.Sprintf("outage over after %s: calls get through again", now.Sub(g.since).Round(time.Second)))
			g.since, g.until = time.Time{}, time.Time{}
		}
		return
	}
	if a.tooFast() {
		if a.RetryDelay >= longPause && !g.until.After(now) {
			g.notify(fmt.Sprintf("pausing for %s, as the server requests (%s)", a.RetryDelay.Round(time.Second), a.cause()))
		}
		g.pause(now, max(a.RetryDelay, defaultPause))
	}
	g.failures++
	switch {
	case g.since.IsZero() && g.failures >= g.limit:
		g.since, g.probe = now, firstProbe
		g.pause(now, max(g.probe, a.RetryDelay))
		g.notify(fmt.Sprintf("outage: no call gets through (%s); trying one token at a time, the next in %s", a.cause(), g.until.Sub(now).Round(time.Second)))
	case g.since.IsZero(), sent.Before(g.since): // a call from before the outage says nothing new
	default:
		g.probe = min(2*g.probe, lastProbe)
		g.pause(now, max(g.probe, a.RetryDelay))
	}
}

func (g *gate) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(g.until) {
		g.until = until
	}
}
