package server

import (
	"net"
	"net/http"
	"sync"
)

// unusedConns are the connections of an HTTP server on which no request has come
// yet. Clients make them in reserve. Shutdown would leave each of them be for five
// seconds, and wait for it, although it drops the request that may come; their
// clients had better know.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// closeUnusedAtShutdown makes s close them when it begins to shut down.
func closeUnusedAtShutdown(s *http.Server) {
	unused := &unusedConns{conns: map[net.Conn]struct{}{}}
	s.ConnState = unused.track
	s.RegisterOnShutdown(unused.close)
}

func (u *unusedConns) track(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, conn)
	case u.closed:
		_ = conn.Close() // the last that was accepted
	default:
		u.conns[conn] = struct{}{}
	}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for conn := range u.conns {
		_ = conn.Close()
	}
	clear(u.conns)
}
