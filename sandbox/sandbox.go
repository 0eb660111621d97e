package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// ErrClosed means that the sandbox is closed: it starts no revocation, ends every wait for
// one, and changes no region.
var ErrClosed = errors.New("sandbox: closed")

// A Sandbox emulates SlashID's token endpoints. Create it with [New]. It is an
// [http.Handler] and safe for concurrent use.
//
// Replication runs on timers, not goroutines: a Sandbox that is not closed leaks at most one
// timer per region.
type Sandbox struct {
	config    Config
	authority *authority
	ledger    *ledger
	faults    faultQueue
	routes    *http.ServeMux

	closed    chan struct{}
	closeOnce sync.Once
}

// New returns a Sandbox with a new signing key. The error names every problem in cfg.
//
// Under [testing/synctest], call New inside the bubble.
func New(cfg Config) (*Sandbox, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("sandbox: invalid configuration: %w", err)
	}
	a, err := newAuthority(cfg.Issuer, cfg.OrgID)
	if err != nil {
		return nil, fmt.Errorf("sandbox: generating the signing key: %w", err)
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

// Close stops replication and ends every waiting call: over HTTP with 503, in Go with
// [ErrClosed]. Later calls fail in the same way; [Sandbox.Mint], [Sandbox.Revoked] and
// [Sandbox.Regions] still work. A second Close does nothing.
func (s *Sandbox) Close() {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.ledger.close()
	})
}
