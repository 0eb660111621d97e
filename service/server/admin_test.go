package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

func (f *facade) getAdmin(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, body := f.request(t, http.MethodGet, f.AdminURL+path, nil, nil)
	return resp.StatusCode, string(body)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.Build = server.BuildInfo{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Go: "go1.26"}
	})
	for path, want := range map[string]struct {
		code int
		body string // a pattern
	}{
		"/livez":                         {http.StatusOK, "^ok\n$"},
		"/readyz":                        {http.StatusOK, "^ok\n$"},
		"/version":                       {http.StatusOK, `^{"version":"v1.2.3","revision":"abc","time":"2026-01-02T03:04:05Z","go":"go1.26"}` + "\n$"},
		"/loglevel":                      {http.StatusOK, "^info\n$"},
		"/nowhere":                       {http.StatusNotFound, ""},
		"/token/revoke":                  {http.StatusNotFound, ""},
		"/debug/pprof/":                  {http.StatusOK, "goroutine"},
		"/debug/pprof/goroutine?debug=1": {http.StatusOK, "TestAdmin"},
		"/debug/pprof/heap":              {http.StatusOK, "^\x1f"}, // gzip
		"/debug/pprof/symbol":            {http.StatusOK, "num_symbols: 1"},
		"/debug/pprof/cmdline":           {http.StatusNotFound, ""}, // it may hold secrets
		"/debug/vars":                    {http.StatusNotFound, ""},
	} {
		if code, body := f.getAdmin(t, path); code != want.code || !regexp.MustCompile(want.body).MatchString(body) {
			t.Errorf("%s: %d %q, want %d %q", path, code, body, want.code, want.body)
		}
	}
}

// An idle connection is closed soon, before and after a request, so that a thousand of them
// cannot keep the kubelet's probes out until it restarts the pod.
func TestAdminIdleConnections(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	for _, sent := range []string{"", "GET /readyz HTTP/1.1\r\nHost: quash\r\n\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.AdminURL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		begun := time.Now()
		_, _ = io.WriteString(conn, sent)
		if _, err := io.ReadAll(conn); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took >= server.DefaultLimits.HeaderTimeout {
			t.Errorf("after %q it was closed after %v", sent, took)
		}
	}
}

// The index page links to every page, and every link works.
func TestAdminIndex(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	_, index := f.getAdmin(t, "/")
	var paths []string
	for _, link := range regexp.MustCompile(`<a href="(.+?)">`).FindAllStringSubmatch(index, -1) {
		paths = append(paths, link[1])
		path := link[1]
		switch path {
		case "/debug/pprof/profile":
			continue // it takes at least a second
		case "/debug/pprof/trace":
			path += "?seconds=0.01"
		}
		if code, body := f.getAdmin(t, path); code != http.StatusOK || body == "" {
			t.Errorf("%s: %d, %d bytes", path, code, len(body))
		}
	}
	want := []string{"/livez", "/readyz", "/version", "/configz", "/loglevel", "/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/symbol"}
	if !slices.Equal(paths, want) {
		t.Errorf("the index leads to %q, want %q", paths, want)
	}
}

// Too many concurrent requests for profiles are rejected, not delayed.
func TestProfilesAtOnce(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll)
	ctx, cancel := context.WithCancel(t.Context())
	codes := make(chan int)
	const asked, made = 6, 4
	for range asked {
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.AdminURL+"/debug/pprof/goroutine?seconds=60", nil)
			if err != nil {
				return
			}
			resp, err := f.HTTP.Do(req)
			if err != nil {
				codes <- 0
				return
			}
			_ = resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	for range asked - made {
		if got := <-codes; got != http.StatusTooManyRequests {
			t.Errorf("one too many: %d", got)
		}
	}
	cancel()
	for range made {
		<-codes
	}
}

// config reads /configz.
func (f *facade) config(t *testing.T) (config map[string]any, text string) {
	t.Helper()
	code, text := f.getAdmin(t, "/configz")
	if err := json.Unmarshal([]byte(text), &config); err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v: %s", code, err, text)
	}
	return config, text
}

// /configz shows how each listener serves, the current configuration, and no secret.
func TestConfigz(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	first, second := newServerCertificate(ca), withURI(ca, billing)
	second.Leaf.NotAfter = second.Leaf.NotAfter.Add(time.Hour)
	r := startReplaceable(t, revokesAll, ca, ca, 0)
	r.cert.Store(first)
	r.allow(t, "spiffe://example.org/ns/prod/sa/billing")
	facts := func(addr, callers string, secure any) map[string]any {
		return map[string]any{"address": addr, "callers": callers, "tls": secure}
	}
	want := func(cert *tls.Certificate, level string) map[string]any {
		secure := map[string]any{"min_version": "TLS 1.3", "client_certificates": true, "certificate_expires": cert.Leaf.NotAfter.Format(time.RFC3339)}
		return map[string]any{"build": "/version", "log_level": level, "listeners": map[string]any{
			"grpc":  facts(r.Addr, "clients on the list of allowed callers", secure),
			"http":  facts(r.httpAddr(), "clients on the list of allowed callers", secure),
			"admin": facts(strings.TrimPrefix(r.AdminURL, "http://"), "everyone", nil),
		}}
	}
	got, _ := r.config(t)
	if diff := cmp.Diff(want(first, "info"), got); diff != "" {
		t.Error(diff)
	}
	r.cert.Store(second)
	r.request(t, http.MethodPut, r.AdminURL+"/loglevel", nil, []byte("error"))
	got, text := r.config(t)
	if diff := cmp.Diff(want(second, "error"), got); diff != "" {
		t.Error(diff)
	}
	key, err := x509.MarshalPKCS8PrivateKey(second.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	searcher := secrettest.NewSearcher(
		secrettest.Secret{Name: "the private key", Text: string(key)},
		secrettest.Secret{Name: "a name on the list", Text: "spiffe://example.org/ns/prod/sa/billing"},
	)
	if what, at := searcher.Find(text); what != "" {
		t.Errorf("there is %s: %q", what, text[at:])
	}
}

// /configz without TLS, and with settings.
func TestConfigzSettings(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.Settings = map[string]string{"said": "by the command"}
	})
	config, text := f.config(t)
	if !cmp.Equal(config["settings"], any(map[string]any{"said": "by the command"})) || strings.Count(text, `"tls": null`) != 3 {
		t.Error(text)
	}
	f = startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) { cfg.Settings = func() {} })
	if code, body := f.getAdmin(t, "/configz"); code != http.StatusInternalServerError || body != "configuration dump failed\n" {
		t.Errorf("settings that JSON cannot encode: %d %q", code, body)
	}
}

// Every change of the log level is logged, even one that silences the log. Only requests from
// this machine may change it, but not from a browser.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJub25lIn0.eyJqdGkiOiJhIn0.c2ln"
	var log lockedBuffer
	f := startFacade(t, revokesAll, func(_ *service.Config, cfg *server.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: cfg.LogLevel}))
	})
	expect := func(want string) {
		t.Helper()
		if _, got := f.getAdmin(t, "/loglevel"); got != want+"\n" {
			t.Errorf("the level is %q, want %s", got, want)
		}
	}
	from := "info"
	for _, to := range []string{"error", "debug", "debug", "warn", "info", "warn"} {
		before := log.String()
		resp, body := f.request(t, http.MethodPut, f.AdminURL+"/loglevel", nil, []byte(to+"\n"))
		if resp.StatusCode != http.StatusOK || string(body) != to+"\n" {
			t.Errorf("%s: %s %s", to, resp.Status, body)
		}
		expect(to)
		line := strings.TrimPrefix(log.String(), before)
		if !strings.Contains(line, `msg="log level changed" from=`+from+" to="+to+" peer=127.0.0.1:") {
			t.Errorf("%s to %s: the log has %q", from, to, line)
		}
		from = to
	}
	before := log.String()
	for name, tt := range map[string]struct {
		method, body string
		header       http.Header
		want         int
	}{
		"nothing":             {http.MethodPut, "", nil, http.StatusBadRequest},
		"no level":            {http.MethodPut, "loud", nil, http.StatusBadRequest},
		"a level of slog's":   {http.MethodPut, "info+2", nil, http.StatusBadRequest},
		"in upper case":       {http.MethodPut, "DEBUG", nil, http.StatusBadRequest},
		"as JSON":             {http.MethodPut, `"debug"`, nil, http.StatusBadRequest},
		"a token":             {http.MethodPut, token, nil, http.StatusBadRequest},
		"far too much":        {http.MethodPut, "debug" + strings.Repeat(" ", 1<<20), nil, http.StatusBadRequest},
		"a page":              {http.MethodPut, "debug", http.Header{"Origin": {"http://" + f.AdminURL}}, http.StatusForbidden},
		"a sandboxed page":    {http.MethodPut, "debug", http.Header{"Origin": {"null"}}, http.StatusForbidden},
		"a browser":           {http.MethodPut, "debug", http.Header{"Sec-Fetch-Site": {"same-origin"}}, http.StatusForbidden},
		"a page's preflight":  {http.MethodOptions, "", preflight(appOrigin, http.MethodPut, ""), http.StatusMethodNotAllowed},
		"a form":              {http.MethodPost, "debug", nil, http.StatusMethodNotAllowed},
		"an attempt to reset": {http.MethodDelete, "", nil, http.StatusMethodNotAllowed},
	} {
		resp, body := f.request(t, tt.method, f.AdminURL+"/loglevel", tt.header, []byte(tt.body))
		if resp.StatusCode != tt.want || strings.Contains(string(body), token) || corsHeaders(resp) != "" {
			t.Errorf("%s: %s %q, want %d", name, resp.Status, body, tt.want)
		}
	}
	// Service-mesh sidecars forward remote requests from this address.
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 6)}}
	f.HTTP = &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	if resp, body := f.request(t, http.MethodPut, f.AdminURL+"/loglevel", nil, []byte("debug")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("from 127.0.0.6: %s %q", resp.Status, body)
	}
	expect(from)
	if got := log.String(); got != before {
		t.Errorf("rejected requests are logged: %s", got)
	}
}
