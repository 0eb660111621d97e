package server_test

import (
	"net/http"
	"regexp"
	"slices"
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
		"/loglevel":     {http.StatusOK, "info\n"},
		"/nowhere":      {http.StatusNotFound, "404 page not found\n"},
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

// The first page leads to all others, and they are there.
func TestAdminIndex(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.adminURL(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := f.do(t, req)
		return resp.StatusCode, string(body)
	}
	_, index := get("/")
	var paths []string
	for _, link := range regexp.MustCompile(`<a href="(.+?)">`).FindAllStringSubmatch(index, -1) {
		paths = append(paths, link[1])
		path := link[1]
		switch path {
		case "/debug/pprof/profile":
			continue // it takes a second at least
		case "/debug/pprof/trace":
			path += "?seconds=0.01"
		}
		if code, body := get(path); code != http.StatusOK || body == "" {
			t.Errorf("%s: %d, %d bytes", path, code, len(body))
		}
	}
	want := []string{"/livez", "/readyz", "/version", "/configz", "/loglevel", "/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/symbol"}
	if !slices.Equal(paths, want) {
		t.Errorf("the index leads to %q, want %q", paths, want)
	}
}
