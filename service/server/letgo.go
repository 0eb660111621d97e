package server

import "net/http"

// letGo makes each answer of h the last on its connection once the server is not
// ready, so that callers who keep connections alive have gone elsewhere before the
// end of DrainDelay. At that end net/http closes what is idle, and a request that is
// on its way there gets no answer, so that its caller cannot know.
//
// It is not done with Server.SetKeepAlivesEnabled, which would close what is idle
// right away, in the same manner.
func (s *Server) letGo(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
