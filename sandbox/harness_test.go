package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSandbox(tb testing.TB, cfg Config) *Sandbox {
	tb.Helper()
	s, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func mint(tb testing.TB, s *Sandbox, opts MintOptions) string {
	tb.Helper()
	token, err := s.Mint(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// newRequest adds header as pairs of name and value.
func newRequest(ctx context.Context, method, url, body string, header ...string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// revokeRequest carries the default API key.
func revokeRequest(ctx context.Context, token string, header ...string) *http.Request {
	header = append([]string{apiKeyHeader, DefaultAPIKey}, header...)
	return newRequest(ctx, http.MethodPost, "/token/revoke", tokenBody(token), header...)
}

func tokenBody(token string) string { return `{"token":"` + token + `"}` }

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func revoke(ctx context.Context, s *Sandbox, token string, header ...string) *httptest.ResponseRecorder {
	return serve(s, revokeRequest(ctx, token, header...))
}

// wantStatus also holds an answer to what is true of each of its kind: the
// correlation id, the envelope of a refusal, the emptiness of 204.
func wantStatus(tb testing.TB, w *httptest.ResponseRecorder, status int) {
	tb.Helper()
	if w.Code != status {
		tb.Fatalf("status %d, want %d; body: %s", w.Code, status, w.Body)
	}
	if id := w.Header().Get(correlationIDHeader); !isUUID(id) {
		tb.Errorf("%s is %q, want a UUID", correlationIDHeader, id)
	}
	if status == http.StatusNoContent && w.Body.Len() > 0 {
		tb.Errorf("204 with a body: %s", w.Body)
	}
	if status >= 400 {
		wantEnvelope(tb, w)
	}
}

func wantEnvelope(tb testing.TB, w *httptest.ResponseRecorder) {
	tb.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		tb.Errorf("Content-Type is %q", got)
	}
	var e envelope
	dec := json.NewDecoder(strings.NewReader(w.Body.String()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		tb.Fatalf("the body is no envelope: %v: %s", err, w.Body)
	}
	if len(e.Errors) != 1 || e.Errors[0].HTTPCode != w.Code || e.Errors[0].Message == "" {
		tb.Errorf("envelope %+v does not describe status %d", e, w.Code)
	}
}

// wantRevoked compares the regions that have applied a revocation.
func wantRevoked(tb testing.TB, s *Sandbox, token string, regions ...string) {
	tb.Helper()
	got, err := s.Revoked(token)
	if err != nil {
		tb.Fatal(err)
	}
	want := make(map[string]bool)
	for name := range got {
		want[name] = false
	}
	for _, name := range regions {
		want[name] = true
	}
	for name, revoked := range got {
		if revoked != want[name] {
			tb.Errorf("revoked in %s: %t, want %t", name, revoked, want[name])
		}
	}
}
