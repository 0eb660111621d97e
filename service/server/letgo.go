package server

import (
	"context"
	"net"
	"net/http"
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
func (s *Server) letGo(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() || connectionAge(r.Context()) > s.cfg.Limits.ConnectionAge {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

type connectionBegun struct{}

// withConnectionBegun is an http.Server's ConnContext.
func withConnectionBegun(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionBegun{}, time.Now())
}

func connectionAge(ctx context.Context) time.Duration {
	begun, ok := ctx.Value(connectionBegun{}).(time.Time)
	if !ok {
		return 0
	}
	return time.Since(begun)
}
