package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.Build = server.BuildInfo{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Go: "go1.26"}
	})
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/livez":        {http.StatusOK, "ok\n"},
		"/readyz":       {http.StatusOK, "ok\n"},
		"/version":      {http.StatusOK, `{"version":"v1.2.3","revision":"abc","time":"2026-01-02T03:04:05Z","go":"go1.26"}` + "\n"},
		"/":             {http.StatusNotFound, "404 page not found\n"},
		"/token/revoke": {http.StatusNotFound, "404 page not found\n"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.adminURL(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := f.do(t, req)
		if resp.StatusCode != want.status || string(body) != want.body {
			t.Errorf("%s: %d %q, want %d %q", path, resp.StatusCode, body, want.status, want.body)
		}
	}
}

// Profiles are for whoever can reach the admin listener; the command line is for
// nobody there.
func TestProfiles(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	for path, want := range map[string]struct {
		status int
		body   string // a part of it
	}{
		"/debug/pprof/":                  {http.StatusOK, "goroutine"},
		"/debug/pprof/goroutine?debug=1": {http.StatusOK, "TestProfiles"},
		"/debug/pprof/heap":              {http.StatusOK, "\x1f\x8b"}, // gzip
		"/debug/pprof/symbol":            {http.StatusOK, "num_symbols: 1"},
		"/debug/pprof/cmdline":           {http.StatusNotFound, "Unknown profile"},
		"/debug/vars":                    {http.StatusNotFound, ""},
		"/debug/requests":                {http.StatusNotFound, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.adminURL(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := f.do(t, req)
		if resp.StatusCode != want.status || !strings.Contains(string(body), want.body) {
			t.Errorf("%s: %d %q, want %d and %q", path, resp.StatusCode, body, want.status, want.body)
		}
	}
}
