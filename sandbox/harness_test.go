package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
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

// newRequest takes header as pairs of name and value.
func newRequest(ctx context.Context, method, url, body string, header ...string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// revokeRequest returns a request with the default API key.
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

// call serves one request without credentials.
func call(tb testing.TB, s *Sandbox, method, url, body string) *httptest.ResponseRecorder {
	return serve(s, newRequest(tb.Context(), method, url, body))
}

func revoke(ctx context.Context, s *Sandbox, token string, header ...string) *httptest.ResponseRecorder {
	return serve(s, revokeRequest(ctx, token, header...))
}

// wantStatus checks the status, and what every answer must have: a correlation id, the
// envelope in an error answer, and an empty body in a 204.
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
	if status < 400 {
		return
	}
	var e envelope
	dec := json.NewDecoder(strings.NewReader(w.Body.String()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil || w.Header().Get("Content-Type") != "application/json" ||
		len(e.Errors) != 1 || e.Errors[0].HTTPCode != status || e.Errors[0].Message == "" {
		tb.Errorf("%d without SlashID's envelope: %v: %s", status, err, w.Body)
	}
}

// wantRevoked checks that exactly the named regions have applied the revocation of token.
func wantRevoked(tb testing.TB, s *Sandbox, token string, regions ...string) {
	tb.Helper()
	got, err := s.Revoked(token)
	if err != nil {
		tb.Fatal(err)
	}
	for name, revoked := range got {
		if want := slices.Contains(regions, name); revoked != want {
			tb.Errorf("revoked in %s: %t, want %t", name, revoked, want)
		}
	}
}

func setRegion(tb testing.TB, s *Sandbox, name string, settings RegionSettings) {
	tb.Helper()
	if err := s.SetRegion(name, settings); err != nil {
		tb.Fatal(err)
	}
}

func script(tb testing.TB, s *Sandbox, faults ...Fault) {
	tb.Helper()
	if err := s.Script(faults...); err != nil {
		tb.Fatal(err)
	}
}
