package sandbox

import (
	"net/http"
	"testing"
)

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, path := range []string{
		"/", "/token", "/token/", "/token/revoke/", "/token//revoke", "/token/../token/revoke", "//token/revoke",
		"/persons/1", "/persons//mint-token", "/_sandbox", "/_sandbox/", "/_sandbox/regions/", "/_sandbox/regions/a/b",
	} {
		w := serve(s, newRequest(t.Context(), http.MethodPost, path, ""))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, w.Code)
			continue
		}
		wantStatus(t, w, http.StatusNotFound)
	}
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, tt := range []struct{ method, path, allow string }{
		{http.MethodGet, "/token/revoke", "POST"},
		{http.MethodOptions, "/token/validate", "POST"},
		{http.MethodPut, "/persons/1/mint-token", "POST"},
		{http.MethodPost, "/.well-known/jwks.json", "GET, HEAD"},
		{http.MethodPost, "/_sandbox/regions", "GET, HEAD"},
		{http.MethodGet, "/_sandbox/regions/us-east", "PUT"},
		{http.MethodPatch, "/_sandbox/faults", "DELETE, GET, HEAD, POST"},
		{http.MethodDelete, "/_sandbox/revocations", "GET, HEAD"},
		{http.MethodGet, "/_sandbox/tokens", "POST"},
	} {
		w := serve(s, newRequest(t.Context(), tt.method, tt.path, ""))
		wantStatus(t, w, http.StatusMethodNotAllowed)
		if got := w.Header().Get("Allow"); got != tt.allow {
			t.Errorf("%s %s: Allow is %q, want %q", tt.method, tt.path, got, tt.allow)
		}
	}
}

func TestHeadIsGet(t *testing.T) {
	t.Parallel()
	w := serve(newSandbox(t, Config{}), newRequest(t.Context(), http.MethodHead, "/.well-known/jwks.json", ""))
	wantStatus(t, w, http.StatusOK)
}
