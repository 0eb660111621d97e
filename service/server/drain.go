package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// closeOnDrain closes connections after a response when the server is not ready, or when
// the connection is older than age. Clients must have left their connections by the end of
// DrainDelay: net/http then closes idle connections, and a request that arrives at that
// moment gets no response, so its caller does not know whether the token was revoked.
//
// Server.SetKeepAlivesEnabled has the same problem: it closes idle connections at once.
func closeOnDrain(h http.Handler, ready *atomic.Bool, age time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, ok := r.Context().Value(connBegunKey{}).(time.Time)
		if !ready.Load() || ok && time.Since(begun) > age {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

type connBegunKey struct{}

// withConnBegun is a ConnContext hook that records when a connection was opened.
func withConnBegun(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connBegunKey{}, time.Now())
}

// newConns tracks connections that have sent no request yet; clients open such connections
// in advance. http.Server.Shutdown waits up to five seconds for them and then drops any
// request on them, so newConns closes them at once.
type newConns struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closing bool
}

// closeNewConnsOnShutdown closes connections without a request when s.Shutdown is called.
func closeNewConnsOnShutdown(s *http.Server) {
	n := &newConns{conns: map[net.Conn]struct{}{}}
	s.ConnState = n.track
	s.RegisterOnShutdown(n.close)
}

func (n *newConns) track(conn net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(n.conns, conn)
	case n.closing:
		_ = conn.Close() // accepted while the shutdown began
	default:
		n.conns[conn] = struct{}{}
	}
}

func (n *newConns) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closing = true
	for conn := range n.conns {
		_ = conn.Close()
	}
	clear(n.conns)
}
