package server

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// leveled is an admin listener, the level that it changes, and what is logged at it.
type leveled struct {
	admin http.Handler
	level *slog.LevelVar
	log   strings.Builder
}

func newLeveled(start slog.Level) *leveled {
	l := &leveled{level: new(slog.LevelVar)}
	l.level.Set(start)
	logger := slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: l.level}))
	l.admin = newAdmin(new(atomic.Bool), BuildInfo{}, nil, http.NotFound, &logLevel{level: l.level, log: logger})
	return l
}

// ask makes a request, from this machine unless change says otherwise.
func (l *leveled) ask(ctx context.Context, method, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, method, "/loglevel", strings.NewReader(body))
	req.RemoteAddr = "127.0.0.1:40000"
	if change != nil {
		change(req)
	}
	w := httptest.NewRecorder()
	l.admin.ServeHTTP(w, req)
	return w
}

// Each change is in the log, whichever way it goes, with what it was before.
func TestLogLevelChanges(t *testing.T) {
	t.Parallel()
	for _, from := range slices.Sorted(maps.Keys(logLevels)) {
		for _, to := range slices.Sorted(maps.Keys(logLevels)) {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				l := newLeveled(logLevels[from])
				if got := l.ask(t.Context(), http.MethodGet, "", nil); got.Body.String() != from+"\n" {
					t.Errorf("before: %d %q", got.Code, got.Body)
				}
				got := l.ask(t.Context(), http.MethodPut, to+"\n", nil)
				if got.Code != http.StatusOK || got.Body.String() != to+"\n" {
					t.Errorf("the change: %d %q", got.Code, got.Body)
				}
				if l.level.Level() != logLevels[to] {
					t.Errorf("it is %s", l.level.Level())
				}
				if got := l.ask(t.Context(), http.MethodGet, "", nil); got.Body.String() != to+"\n" {
					t.Errorf("after: %d %q", got.Code, got.Body)
				}
				want := `msg="the log level is changed" from=` + from + " to=" + to + " peer=127.0.0.1:40000\n"
				if log := l.log.String(); strings.Count(log, "\n") != 1 || !strings.HasSuffix(log, want) {
					t.Errorf("the log has %q, want one line with %q", log, want)
				}
			})
		}
	}
}

func TestLogLevelRefusals(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJub25lIn0.eyJqdGkiOiJhIn0.c2ln"
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	from := func(peer string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = peer }
	}
	for name, tt := range map[string]struct {
		method, body string
		change       func(*http.Request)
		want         int
	}{
		"nothing":                {http.MethodPut, "", nil, http.StatusBadRequest},
		"no level":               {http.MethodPut, "loud", nil, http.StatusBadRequest},
		"a level of slog's":      {http.MethodPut, "info+2", nil, http.StatusBadRequest},
		"in upper case":          {http.MethodPut, "DEBUG", nil, http.StatusBadRequest},
		"a number":               {http.MethodPut, "-4", nil, http.StatusBadRequest},
		"as JSON":                {http.MethodPut, `"debug"`, nil, http.StatusBadRequest},
		"two":                    {http.MethodPut, "debug info", nil, http.StatusBadRequest},
		"a token":                {http.MethodPut, token, nil, http.StatusBadRequest},
		"far too much":           {http.MethodPut, "debug" + strings.Repeat(" ", 1<<20), nil, http.StatusBadRequest},
		"from another machine":   {http.MethodPut, "debug", from("192.0.2.1:40000"), http.StatusForbidden},
		"from a mesh's sidecar":  {http.MethodPut, "debug", from("127.0.0.6:40000"), http.StatusForbidden},
		"from another, by IPv6":  {http.MethodPut, "debug", from("[2001:db8::1]:40000"), http.StatusForbidden},
		"from who knows where":   {http.MethodPut, "debug", from("@"), http.StatusForbidden},
		"by a page":              {http.MethodPut, "debug", header("Origin", "https://example.com"), http.StatusForbidden},
		"by a page of its name":  {http.MethodPut, "debug", header("Origin", "http://example.com"), http.StatusForbidden},
		"by a sandboxed page":    {http.MethodPut, "debug", header("Origin", "null"), http.StatusForbidden},
		"by a browser":           {http.MethodPut, "debug", header("Sec-Fetch-Site", "same-origin"), http.StatusForbidden},
		"as a form":              {http.MethodPost, "debug", nil, http.StatusMethodNotAllowed},
		"as JSON Merge Patch":    {http.MethodPatch, "debug", nil, http.StatusMethodNotAllowed},
		"an attempt to reset it": {http.MethodDelete, "", nil, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeveled(slog.LevelWarn)
			got := l.ask(t.Context(), tt.method, tt.body, tt.change)
			if got.Code != tt.want {
				t.Errorf("%d %q, want %d", got.Code, got.Body, tt.want)
			}
			if l.level.Level() != slog.LevelWarn || l.log.Len() > 0 {
				t.Errorf("it is %s all the same, and logged %q", l.level.Level(), &l.log)
			}
			if strings.Contains(got.Body.String(), token) {
				t.Errorf("the answer repeats the body: %q", got.Body)
			}
		})
	}
}

// A page's PUT is asked for first, and only a server that says yes gets it.
func TestLogLevelPreflight(t *testing.T) {
	t.Parallel()
	l := newLeveled(slog.LevelWarn)
	got := l.ask(t.Context(), http.MethodOptions, "", func(r *http.Request) {
		r.Header.Set("Origin", "https://example.com")
		r.Header.Set("Access-Control-Request-Method", http.MethodPut)
	})
	if got.Code != http.StatusMethodNotAllowed {
		t.Errorf("%d, want %d", got.Code, http.StatusMethodNotAllowed)
	}
	for name := range got.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("it is answered with %s", name)
		}
	}
}

// The machine may be called by any of its own names, and asked with GET by anyone.
func TestLogLevelPeers(t *testing.T) {
	t.Parallel()
	for _, peer := range []string{"127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		l := newLeveled(slog.LevelWarn)
		got := l.ask(t.Context(), http.MethodPut, "debug", func(r *http.Request) { r.RemoteAddr = peer })
		if got.Code != http.StatusOK || l.level.Level() != slog.LevelDebug {
			t.Errorf("%s: %d, %s", peer, got.Code, l.level.Level())
		}
	}
	l := newLeveled(slog.LevelWarn)
	got := l.ask(t.Context(), http.MethodGet, "", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" })
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "warn\n" {
		t.Errorf("from elsewhere: %d %q, %v", got.Code, body, err)
	}
}
