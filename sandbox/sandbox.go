package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// ErrClosed is what waiting for a revocation, or changing a region, returns once
// the sandbox is closed.
var ErrClosed = errors.New("sandbox: closed")

// A Sandbox emulates SlashID's token endpoints. It is made by [New], is an
// [http.Handler], and may be used by many goroutines at once.
//
// It starts no goroutine that waits: remote regions are moved on by timers, so a
// Sandbox that is not closed leaks at most one timer a region.
type Sandbox struct {
	config    Config
	authority *authority
	ledger    *ledger
	faults    faultQueue
	routes    *http.ServeMux

	closed    chan struct{}
	closeOnce sync.Once
}

// New returns a Sandbox with a fresh signing key. The error names every problem
// of cfg at once.
//
// Under [testing/synctest], call New inside the bubble.
func New(cfg Config) (*Sandbox, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("sandbox: invalid configuration: %w", err)
	}
	a, err := newAuthority(cfg.Issuer, cfg.OrgID)
	if err != nil {
		return nil, fmt.Errorf("sandbox: making the signing key: %w", err)
	}
	s := &Sandbox{
		config:    cfg,
		authority: a,
		ledger:    newLedger(cfg.Regions, cfg.ReplicationLag),
		closed:    make(chan struct{}),
	}
	s.routes = s.newRoutes()
	return s, nil
}

// Close stops replication and ends every call that is waiting: over HTTP with
// 503, in Go with [ErrClosed]. Later calls end the same way; minting, and asking
// what is revoked, still work. Closing twice does no harm.
func (s *Sandbox) Close() {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.ledger.close()
	})
}
