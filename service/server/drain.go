package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// closeOnDrain disables keep-alive for the answers of h once the server is not ready, or
// the connection is older than age: callers must have left a connection before the end of
// DrainDelay. At that end net/http closes idle connections, and a request that is on its
// way there gets no answer, so that its caller cannot know what became of it.
//
// Server.SetKeepAlivesEnabled would close idle connections right away, in the same manner.
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

// withConnBegun is an http.Server's ConnContext.
func withConnBegun(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connBegunKey{}, time.Now())
}

// newConns are the connections of an HTTP server that are idle before their first
// request. Clients open them in reserve. Shutdown would wait five seconds for each,
// although it drops the request that may come, so they are closed instead.
type newConns struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closing bool
}

// closeNewConnsOnShutdown makes s close them when its Shutdown begins.
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
		_ = conn.Close() // the last that was accepted
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
