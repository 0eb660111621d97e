package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof" // also registers itself on http.DefaultServeMux, which is not served
	"sync/atomic"
)

// BuildInfo is the version of the running binary.
type BuildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
}

func (b BuildInfo) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonType)
	_ = json.NewEncoder(w).Encode(b) //nolint:errchkjson // fails only if the client disconnected
}

// adminPage is a page of the admin listener.
type adminPage struct {
	// path is the pattern for http.ServeMux: a path with a final slash includes everything
	// below it. what is the description on the index page.
	path, what string
	serve      http.HandlerFunc
}

// atOnce limits the number of requests that are served at the same time. More are rejected.
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

// newAdmin builds the handler of the admin listener. The index page at / lists all pages;
// the leak scan reads every page of that list.
//
// The probes do not depend on SlashID. Restarting quash, or taking it out of rotation, does
// not help during an outage of SlashID: every instance is affected.
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
