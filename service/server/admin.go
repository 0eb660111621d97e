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
			http.Error(w, "too many profiles are being taken; retry when one has finished", http.StatusTooManyRequests)
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
		{"/livez", "200 while the process runs", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok\n")
		}},
		{"/readyz", "200 while quash accepts calls, 503 as soon as it shuts down", func(w http.ResponseWriter, _ *http.Request) {
			if !ready.Load() {
				http.Error(w, "not serving", http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, "ok\n")
		}},
		{"/version", "version and build information, as JSON", build.serve},
		{"/configz", "the running configuration without secrets, as JSON", configz},
		{"/loglevel", "the minimum log level; PUT debug, info, warn or error to change it", level.serve},
		{"/debug/pprof/", "profiles of the Go runtime, without the command line", profiling.serve(pprof.Index)},
		{"/debug/pprof/profile", "a CPU profile; ?seconds=30 sets its length", profiling.serve(pprof.Profile)},
		{"/debug/pprof/trace", "an execution trace; ?seconds=1 sets its length", profiling.serve(pprof.Trace)},
		{"/debug/pprof/symbol", "function names, for go tool pprof", profiling.serve(pprof.Symbol)},
	}
	if metrics != nil {
		pages = append(pages, adminPage{"/metrics", "metrics in the Prometheus format", metrics.ServeHTTP})
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
