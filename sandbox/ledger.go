package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// RegionSettings is how one region takes part in replication.
type RegionSettings struct {
	// Lag is the least age of a revocation before the region applies it: counted
	// from its acceptance in the local region, and from its application there in
	// a remote one. It is not negative, and it also counts for revocations that
	// are on their way already.
	Lag time.Duration

	// Partitioned cuts the region off: it applies nothing until it is healed, and
	// then everything that is due. A local region that is cut off accepts
	// revocations without applying them.
	Partitioned bool
}

// Region is one region as it is now.
type Region struct {
	RegionSettings

	Name  string
	Local bool // the region that answers; the first one configured
}

// ErrUnknownRegion is returned for a name that is not among the regions.
var ErrUnknownRegion = errors.New("sandbox: unknown region")

// Regions returns every region, the local one first.
func (s *Sandbox) Regions() []Region { return s.ledger.list() }

// SetRegion changes a region. Whatever has become due by that is applied before
// SetRegion returns: with a lag of 0 and no partition, everything on its way.
// What is applied stays applied.
//
// The error is [ErrUnknownRegion], [ErrClosed], or says that the lag is negative.
func (s *Sandbox) SetRegion(name string, settings RegionSettings) error {
	_, err := s.ledger.set(name, &settings.Lag, &settings.Partitioned)
	return err
}

// local is the index of the local region, in the ledger and in every entry.
const local = 0

// minSweep is the fewest entries that are worth looking through for expired ones.
const minSweep = 1024

// ledger knows every revocation and what each region has applied of it.
//
// For a revoked token it holds one entry, about half a kilobyte, and one queue
// slot for each region that has still to apply it; a token that is only watched
// has an entry too. Entries of expired tokens are dropped, from the queues as
// well, each time the number of entries has doubled: so there are never more than
// twice as many as were alive at the last sweep, or minSweep.
type ledger struct {
	mu      sync.Mutex
	regions []*region
	entries map[string]*entry // by the jti of the user token
	sweepAt int
	closed  bool
}

type region struct {
	Region

	queue []replication // by age, the oldest first
	timer *time.Timer
}

// replication is a revocation on its way to a region.
type replication struct {
	entry *entry
	since time.Time // when it set out
}

// entry is one revocation. Its channels are its own, so that an application wakes
// the calls that wait for it and no others.
type entry struct {
	jti        string
	expiresAt  time.Time
	acceptedAt time.Time   // zero: watched, but not asked for yet
	revokedAt  []time.Time // by region; zero: not applied yet
	missing    int         // regions that have not applied it

	locally    chan struct{} // closed when the local region has applied it
	everywhere chan struct{} // closed when all regions have
}

// newLedger gives lag to the remote regions. names[0] is the local one.
func newLedger(names []string, lag time.Duration) *ledger {
	l := &ledger{entries: make(map[string]*entry), sweepAt: minSweep}
	for i, name := range names {
		r := &region{Region: Region{Name: name, Local: i == local}}
		if !r.Local {
			r.Lag = lag
		}
		r.timer = time.AfterFunc(time.Hour, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.advance(i)
		})
		r.timer.Stop() // nothing is on its way
		l.regions = append(l.regions, r)
	}
	return l
}

// accept begins the revocation of a token, or joins it while the local region has
// yet to apply it. The error is errTokenRevoked or [ErrClosed].
func (l *ledger) accept(jti string, expiresAt time.Time) (*entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	e := l.entry(jti, expiresAt)
	if !e.revokedAt[local].IsZero() {
		return nil, errTokenRevoked
	}
	if e.acceptedAt.IsZero() {
		e.acceptedAt = time.Now()
		l.regions[local].send(e, e.acceptedAt)
		l.advance(local)
	}
	return e, nil
}

// watch returns the channel that is closed when every region has applied the
// revocation of a token, whether or not it has been asked for.
func (l *ledger) watch(jti string, expiresAt time.Time) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	return l.entry(jti, expiresAt).everywhere, nil
}

func (l *ledger) revoked(jti string) map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[jti]
	applied := make(map[string]bool, len(l.regions))
	for i, r := range l.regions {
		applied[r.Name] = e != nil && !e.revokedAt[i].IsZero()
	}
	return applied
}

func (l *ledger) revokedLocally(jti string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[jti]
	return e != nil && !e.revokedAt[local].IsZero()
}

func (l *ledger) list() []Region {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Region, len(l.regions))
	for i, r := range l.regions {
		all[i] = r.Region
	}
	return all
}

// set changes the settings that are not nil, and applies what is due by that.
func (l *ledger) set(name string, lag *time.Duration, partitioned *bool) (Region, error) {
	if lag != nil && *lag < 0 {
		return Region{}, fmt.Errorf("sandbox: lag %v is negative", *lag)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Region{}, ErrClosed
	}
	i := slices.IndexFunc(l.regions, func(r *region) bool { return r.Name == name })
	if i < 0 {
		return Region{}, ErrUnknownRegion
	}
	r := l.regions[i]
	if lag != nil {
		r.Lag = *lag
	}
	if partitioned != nil {
		r.Partitioned = *partitioned
	}
	l.advance(i)
	return r.Region, nil
}

// accepted returns every revocation that was asked for, in that order.
func (l *ledger) accepted() []revocationJSON {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []*entry
	for _, e := range l.entries {
		if !e.acceptedAt.IsZero() {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(a.acceptedAt.Compare(b.acceptedAt), cmp.Compare(a.jti, b.jti))
	})
	all := make([]revocationJSON, len(entries))
	for i, e := range entries {
		all[i] = revocationJSON{e.jti, e.expiresAt.UTC(), map[string]*time.Time{}}
		for k, at := range e.revokedAt {
			all[i].RevokedAt[l.regions[k].Name] = nil
			if at = at.UTC(); !at.IsZero() {
				all[i].RevokedAt[l.regions[k].Name] = &at
			}
		}
	}
	return all
}

func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, r := range l.regions {
		r.timer.Stop()
	}
}

// entry returns the entry of a token, and makes it if there is none. The caller
// holds l.mu, as for every method below.
func (l *ledger) entry(jti string, expiresAt time.Time) *entry {
	if e, ok := l.entries[jti]; ok {
		return e
	}
	if len(l.entries) >= l.sweepAt {
		l.sweep(time.Now())
	}
	e := &entry{
		jti:        jti,
		expiresAt:  expiresAt,
		revokedAt:  make([]time.Time, len(l.regions)),
		missing:    len(l.regions),
		locally:    make(chan struct{}),
		everywhere: make(chan struct{}),
	}
	l.entries[jti] = e
	return e
}

// sweep drops what is expired. An expired token is refused for its expiry, so
// nothing asks for its entry again; a call that waits for it runs into its
// timeout.
func (l *ledger) sweep(now time.Time) {
	expired := func(e *entry) bool { return !now.Before(e.expiresAt) }
	for jti, e := range l.entries {
		if expired(e) {
			delete(l.entries, jti)
		}
	}
	for _, r := range l.regions {
		r.queue = slices.DeleteFunc(r.queue, func(a replication) bool { return expired(a.entry) })
	}
	l.sweepAt = max(minSweep, 2*len(l.entries))
}

// send puts e on its way to the region. advance applies it.
func (r *region) send(e *entry, now time.Time) { r.queue = append(r.queue, replication{e, now}) }

// advance applies what is due in region i, and sets the region's timer for the
// rest. What the local region applies sets out for the remote ones.
func (l *ledger) advance(i int) {
	r := l.regions[i]
	if l.closed || r.Partitioned {
		return
	}
	now := time.Now()
	due := 0
	for due < len(r.queue) && now.Sub(r.queue[due].since) >= r.Lag {
		l.apply(i, r.queue[due].entry, now)
		due++
	}
	clear(r.queue[:due]) // the array lives on, its entries need not
	r.queue = r.queue[due:]
	if len(r.queue) > 0 {
		r.timer.Reset(r.Lag - now.Sub(r.queue[0].since))
	}
	if i != local || due == 0 {
		return
	}
	for remote := local + 1; remote < len(l.regions); remote++ {
		l.advance(remote)
	}
}

func (l *ledger) apply(i int, e *entry, now time.Time) {
	e.revokedAt[i] = now
	if i == local {
		close(e.locally)
		for _, remote := range l.regions[local+1:] {
			remote.send(e, now)
		}
	}
	e.missing--
	if e.missing == 0 {
		close(e.everywhere)
	}
}
