package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof" // it registers itself on a mux that nobody serves
	"sync/atomic"
)

// BuildInfo says which quash this is.
type BuildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
}

// newAdmin builds the handler of the admin listener.
//
//	/livez         200 while the process serves at all
//	/readyz        200 while calls should come here, 503 from the moment of shutdown
//	/version       BuildInfo as JSON
//	/debug/pprof/  the profiles of package runtime, but not the command line
//
// Neither probe asks SlashID: its outage must not have our pods restarted or
// taken out of rotation, for there is nothing better to send callers to.
func newAdmin(ready *atomic.Bool, build BuildInfo) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		_ = json.NewEncoder(w).Encode(build)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}
