package bulk

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// outagePatience is how long an outage may last before it ends the run. It does not
	// apply with --until-dead.
	outagePatience = 5 * time.Minute
	// minFailures is the minimum number of consecutive failures that make an outage, even at
	// a low concurrency.
	minFailures = 8
	// During an outage the wait before the next call doubles from firstProbe to lastProbe.
	firstProbe, lastProbe = time.Second, 30 * time.Second
	// defaultPause is the pause after RESOURCE_EXHAUSTED without a retry delay.
	defaultPause = time.Second
	// longPause is the shortest pause that the run reports.
	longPause = 10 * time.Second
)

// ErrOutage ends a run before the end of its list: no call gets through.
var ErrOutage = errors.New("outage: no call gets through")

// gate decides when calls may be made, and whether only one at a time. During an outage it
// allows one call now and then: the rest of the list would fail in the same way, and quash
// must not be flooded when it recovers.
type gate struct {
	notify  func(string)
	forever bool // whether to wait for the end of any outage, without a limit

	mu       sync.Mutex
	failures int       // consecutive answers that did not get through
	limit    int       // the number of failures that makes an outage
	until    time.Time // no call is made before this time
	since    time.Time // when the outage was noticed; zero without an outage
	probe    time.Duration
}

// next returns when a call that is due may be made, and whether it must be the only one in
// flight. It returns ErrOutage once an outage has lasted too long. A retry delay that the
// server asks for does not extend that time.
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

// outage returns when the outage began; zero without an outage.
func (g *gate) outage() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.since
}

// expect sets the concurrency and the number of tokens of a pass.
func (g *gate) expect(concurrency, tokens int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = max(min(concurrency, tokens), minFailures)
}

// answered processes the answer to a call that was sent at sent.
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
	case g.since.IsZero(), sent.Before(g.since): // the call was sent before the outage, so its answer is not a probe
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
