package server

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// letGo makes an answer of h the last on its connection where the connection has
// taken calls for long enough, or the server is not ready any more: callers who keep
// connections alive shall have gone elsewhere before the end of DrainDelay. At that
// end net/http closes what is idle, and a request that is on its way there gets no
// answer, so that its caller cannot know.
//
// It is not done with Server.SetKeepAlivesEnabled, which would close what is idle
// right away, in the same manner.
func letGo(h http.Handler, ready *atomic.Bool, age time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() || tooOld(r, age) {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// connection is what is known of a connection.
type connection struct{ begun time.Time }

type connectionKey struct{}

// withConnection is an http.Server's ConnContext.
func withConnection(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{begun: time.Now()})
}

// connectionOf returns nil where r came over none.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

// tooOld reports whether the connection of r has taken calls long enough.
func tooOld(r *http.Request, age time.Duration) bool {
	c := connectionOf(r)
	return c != nil && time.Since(c.begun) > age
}
