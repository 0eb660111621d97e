package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// RegionSettings controls replication to one region.
type RegionSettings struct {
	// Lag is the minimum time before the region applies a revocation. In the local
	// region it counts from the acceptance of the call, in a remote region from the
	// moment the local region applied the revocation. It must not be negative. A new lag
	// also applies to pending revocations.
	Lag time.Duration

	// Partitioned stops the region from applying revocations. When it is reset to false,
	// the region applies everything that is due. A partitioned local region accepts
	// revocations without applying them.
	Partitioned bool
}

// Region is the current state of one region.
type Region struct {
	RegionSettings

	Name  string
	Local bool // true for the region that answers: the first in the configuration
}

// ErrUnknownRegion means that no region has the given name.
var ErrUnknownRegion = errors.New("sandbox: unknown region")

// Regions returns every region, the local one first.
func (s *Sandbox) Regions() []Region { return s.ledger.list() }

// SetRegion changes the settings of a region. Before it returns, the region applies every
// revocation that the change makes due: with a lag of 0 and no partition, all that are
// pending. A revocation that is applied stays applied.
//
// The error is [ErrUnknownRegion], [ErrClosed], or reports a negative lag.
func (s *Sandbox) SetRegion(name string, settings RegionSettings) error {
	_, err := s.ledger.set(name, &settings.Lag, &settings.Partitioned)
	return err
}

// local is the index of the local region, in the ledger and in every entry.
const local = 0

// minSweep is the minimum number of entries before a sweep for expired ones is worth it.
const minSweep = 1024

// ledger records every revocation and which regions have applied it.
//
// A revoked token costs one entry, about half a kilobyte, and one queue slot in each region
// that has not applied the revocation. A token that is only watched costs an entry too.
// Entries of expired tokens are dropped, also from the queues, each time the number of
// entries has doubled. So there are never more than twice the entries that were alive at
// the last sweep, or minSweep.
type ledger struct {
	mu      sync.Mutex
	regions []*region
	entries map[string]*entry // by the jti of the user token
	sweepAt int
	closed  bool
}

type region struct {
	Region

	queue []replication // oldest first
	timer *time.Timer
}

// replication is a revocation that a region has not applied yet.
type replication struct {
	entry *entry
	since time.Time // when the lag started
}

// entry is one revocation. Each entry has its own channels, so that applying it wakes only
// the calls that wait for it.
type entry struct {
	jti        string
	expiresAt  time.Time
	acceptedAt time.Time   // zero: watched, but not revoked yet
	revokedAt  []time.Time // by region; zero: not applied yet
	missing    int         // regions that have not applied it

	locally    chan struct{} // closed when the local region has applied it
	everywhere chan struct{} // closed when every region has applied it
}

// newLedger sets lag on the remote regions. names[0] is the local region.
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
		r.timer.Stop() // nothing is pending
		l.regions = append(l.regions, r)
	}
	return l
}

// accept starts the revocation of a token. A revocation that the local region has not
// applied yet is joined instead. The error is errTokenRevoked or [ErrClosed].
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

// watch returns a channel that is closed when every region has applied the revocation of a
// token. The revocation may start later.
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

// set changes the settings that are not nil, and applies the revocations that become due.
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

// accepted returns every accepted revocation, oldest first.
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

// entry returns the entry of a token, and creates it if it does not exist. The caller
// of this method and of every method below holds l.mu.
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

// sweep drops expired entries. Calls with an expired token are rejected before they reach
// the ledger, so the entry is not needed again. A call that already waits for it ends with
// its timeout.
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

// send queues e for the region. advance applies it.
func (r *region) send(e *entry, now time.Time) { r.queue = append(r.queue, replication{e, now}) }

// advance applies what is due in region i, and sets the region's timer for the next entry.
// What the local region applies is queued for the remote regions.
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
	clear(r.queue[:due]) // the array stays referenced; release its entries
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
