package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

func withDocs(_ *service.Config, cfg *server.Config) { cfg.Docs = true }

// ask sends a request without a body.
func (f *facade) ask(t *testing.T, method, path string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	return f.do(t, req)
}

func TestOpenAPIIsServed(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	resp, body := f.ask(t, http.MethodGet, "/openapi.json", nil)
	var document struct {
		OpenAPI string `json:"openapi"`
	}
	if err := json.Unmarshal(body, &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Errorf("%v: %s", err, document.OpenAPI)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" ||
		resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	head, none := f.ask(t, http.MethodHead, "/openapi.json", nil)
	if head.StatusCode != http.StatusOK || len(none) != 0 || head.ContentLength != int64(len(body)) {
		t.Errorf("HEAD: %s with %d of %d bytes", head.Status, len(none), head.ContentLength)
	}
	again, none := f.ask(t, http.MethodGet, "/openapi.json", http.Header{"If-None-Match": {resp.Header.Get("ETag")}})
	if again.StatusCode != http.StatusNotModified || len(none) != 0 {
		t.Errorf("with the current ETag: %s with %d bytes", again.Status, len(none))
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp, body := f.ask(t, method, "/openapi.json", nil)
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q", method, resp.Status, resp.Header.Get("Allow"))
		}
		if got := strings.Join(nativeViolations(t, resp, body), "|"); got != "method: must be GET or HEAD" {
			t.Errorf("%s: %s", method, got)
		}
	}
}

func TestDocsAreOffByDefault(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t))
	for _, path := range []string{"/docs", "/docs/", "/docs/explorer.js", "/docs/index.html"} {
		if resp, _ := f.ask(t, http.MethodGet, path, nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// The page and its files are served with their content types and the headers that isolate the
// page. Nothing else is served below /docs.
func TestDocs(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), withDocs)
	for path, want := range map[string]string{
		"/docs":              "text/html; charset=utf-8",
		"/docs/explorer.js":  "text/javascript; charset=utf-8",
		"/docs/explorer.css": "text/css; charset=utf-8",
		"/docs/":             "",
		"/docs/index.html":   "",
		"/docs/../docs":      "",
		"/docs/none.js":      "",
	} {
		resp, body := f.ask(t, http.MethodGet, path, nil)
		if want == "" {
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, resp.Status)
			}
			continue
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != want {
			t.Errorf("%s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		for name, want := range map[string]string{
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-cache",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
		policy := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: its policy lacks %s: %s", path, want, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || regexp.MustCompile(`https?://|//[a-z]+\.`).Match(body) {
			t.Errorf("%s: may load from other hosts", path)
		}
	}
}

// Chromium resends a request that gets a 408 on a reused connection.
func TestBrowsersGetAConnectionForEachRequest(t *testing.T) {
	t.Parallel()
	f := startFacade(t, revokesAll, withDocs)
	for name, tt := range map[string]struct {
		method, path string
		header       http.Header
		closes       bool
	}{
		"a call of a page":      {http.MethodPost, dropInPath, http.Header{"Origin": {f.URL}}, true},
		"a preflight":           {http.MethodOptions, dropInPath, http.Header{"Origin": {appOrigin}}, true},
		"the page":              {http.MethodGet, "/docs", nil, true},
		"the document":          {http.MethodGet, "/openapi.json", nil, true},
		"a call of a service":   {http.MethodPost, dropInPath, nil, false},
		"a mistake of a client": {http.MethodGet, "/", nil, false},
	} {
		if resp, _ := f.ask(t, tt.method, tt.path, tt.header); resp.Close != tt.closes {
			t.Errorf("%s: closes the connection: %t", name, resp.Close)
		}
	}
}

// The list of allowed callers applies to calls only. The page, openapi.json and preflights are
// open to every client that completes the handshake.
func TestDocsAllowNoCalls(t *testing.T) {
	t.Parallel()
	f := startFacade(t, neverCalled(t), withDocs, withOrigins(appOrigin), func(_ *service.Config, cfg *server.Config) {
		cfg.AllowedCallers = func() server.AllowedCallers { return server.AllowedCallers{} }
	})
	for _, path := range []string{"/docs", "/openapi.json"} {
		if resp, _ := f.ask(t, http.MethodGet, path, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, _ := f.ask(t, http.MethodOptions, dropInPath, preflight(appOrigin, "POST", "content-type")); resp.StatusCode != http.StatusNoContent {
		t.Errorf("a preflight: %s", resp.Status)
	}
	resp, _ := f.post(t, dropInPath, http.Header{"Origin": {appOrigin}}, revokeABC)
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != appOrigin {
		t.Errorf("a call: %s, %v", resp.Status, resp.Header)
	}
}
