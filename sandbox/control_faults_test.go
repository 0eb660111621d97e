package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func faults(t *testing.T, s *Sandbox, method, body string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(s, newRequest(t.Context(), method, "/_sandbox/faults", body))
}

func TestScriptOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	wantStatus(t, faults(t, s, http.MethodPost, `{"status":503,"delay":"1ms","headers":{"Retry-After":"1"},"body":"…","apply":true,"count":2}`), http.StatusNoContent)
	wantStatus(t, faults(t, s, http.MethodPost, ` [{"reset":true}, {"status":429}]`), http.StatusNoContent)
	if w := revoke(t.Context(), s, mint(t, s, MintOptions{})); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != "…" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}

	w := faults(t, s, http.MethodGet, "")
	wantStatus(t, w, http.StatusOK)
	want := `[{"count":1,"delay":"1ms","apply":true,"status":503,"headers":{"Retry-After":"1"},"body":"…"},` +
		`{"count":1,"reset":true},{"count":1,"status":429}]` + "\n"
	if w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}

	wantStatus(t, faults(t, s, http.MethodDelete, ""), http.StatusNoContent)
	if w := faults(t, s, http.MethodGet, ""); w.Body.String() != "[]\n" {
		t.Errorf("got %s after DELETE", w.Body)
	}
}

func TestScriptOverHTTPRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for body, message := range map[string]string{
		``:                                "empty",
		`null`:                            "null",
		`{"status":"503"}`:                "status cannot be a JSON string",
		`{"statsu":503}`:                  "unknown field",
		`[{"status":503},{"code":503}]`:   "unknown field",
		`[{"status":503},{"status":999}]`: "fault 2: status 999",
		`{"delay":"soon"}`:                "invalid duration",
		strings.Repeat(" ", maxBody+1):    "64 KiB",
	} {
		w := faults(t, s, http.MethodPost, body)
		wantStatus(t, w, http.StatusBadRequest)
		if !strings.Contains(w.Body.String(), message) {
			t.Errorf("%.40s: the message lacks %q: %s", body, message, w.Body)
		}
	}
	if n := len(s.Faults()); n != 0 {
		t.Errorf("%d faults are taken", n)
	}
}
