package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof" // it registers itself on a mux that is not served
	"sync/atomic"
)

// BuildInfo says which quash this is.
type BuildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
}

func (b BuildInfo) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonType)
	_ = json.NewEncoder(w).Encode(b) //nolint:errchkjson // the client has gone then
}

// adminPage is one thing that the admin listener serves.
type adminPage struct {
	// path is also its pattern: what ends in a slash has more below it.
	path, what string
	serve      http.HandlerFunc
}

// atOnce is room for some requests, so that others find the listener answering.
type atOnce chan struct{}

func (room atOnce) serve(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			h(w, r)
		default:
			http.Error(w, "enough of these are being made; ask again when one is done", http.StatusTooManyRequests)
		}
	}
}

// newAdmin builds the handler of the admin listener. At / it lists what else there
// is; the leak scan reads every page of that list.
//
// Neither probe asks SlashID: its outage must not have our pods restarted or
// taken out of rotation, for there is nothing better to send callers to.
func newAdmin(ready *atomic.Bool, build BuildInfo, metrics http.Handler, configz http.HandlerFunc, level *logLevel) http.Handler {
	profiling := make(atOnce, profilesAtOnce)
	pages := []adminPage{
		{"/livez", "200 while the process serves at all", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok\n")
		}},
		{"/readyz", "200 while calls should come here, 503 from the moment of shutdown", func(w http.ResponseWriter, _ *http.Request) {
			if !ready.Load() {
				http.Error(w, "not serving", http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, "ok\n")
		}},
		{"/version", "which quash this is, as JSON", build.serve},
		{"/configz", "how it runs and was told to, without secrets, as JSON", configz},
		{"/loglevel", "the minimum level that is logged; PUT debug, info, warn or error there to change it", level.serve},
		{"/debug/pprof/", "the profiles of package runtime, but not the command line", profiling.serve(pprof.Index)},
		{"/debug/pprof/profile", "a CPU profile, of ?seconds=30", profiling.serve(pprof.Profile)},
		{"/debug/pprof/trace", "an execution trace, of ?seconds=1", profiling.serve(pprof.Trace)},
		{"/debug/pprof/symbol", "names of functions, for go tool pprof", profiling.serve(pprof.Symbol)},
	}
	if metrics != nil {
		pages = append(pages, adminPage{"/metrics", "the metrics, for Prometheus", metrics.ServeHTTP})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>quash</title>\n")
		for _, p := range pages {
			_, _ = fmt.Fprintf(w, "<p><a href=\"%s\">%[1]s</a> %s\n", p.path, p.what)
		}
	})
	for _, p := range pages {
		mux.HandleFunc("GET "+p.path, p.serve)
	}
	mux.HandleFunc("PUT /loglevel", level.change)
	return mux
}
