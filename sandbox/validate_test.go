package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func validate(t *testing.T, s *Sandbox, body string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(s, newRequest(t.Context(), http.MethodPost, "/token/validate", body))
}

func TestValidateALiveToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		for _, container := range []bool{false, true} {
			token := mint(t, s, MintOptions{Lifetime: time.Minute, Container: container})
			w := validate(t, s, tokenBody(token))
			wantStatus(t, w, http.StatusOK)
			at := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			want := fmt.Sprintf(`{"result":{"valid":true,"expires_in_seconds":60,"expires_at":%q}}`+"\n", at)
			if w.Body.String() != want {
				t.Errorf("got %s, want %s", w.Body, want)
			}
		}
	})
}

func TestValidateADeadToken(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	setRegion(t, s, "eu-west", RegionSettings{Partitioned: true})
	revoked := mint(t, s, MintOptions{})
	wantStatus(t, revoke(t.Context(), s, revoked), http.StatusNoContent)

	for name, tt := range map[string]struct{ token, reason string }{
		"malformed":       {"token", "invalid_token_content"},
		"foreign":         {mint(t, newSandbox(t, Config{}), MintOptions{}), "invalid_token_content"},
		"revoked locally": {revoked, "invalid_token_content"},
		"expired":         {mint(t, s, MintOptions{Lifetime: -time.Second}), "expired"},
	} {
		w := validate(t, s, tokenBody(tt.token))
		wantStatus(t, w, http.StatusOK)
		want := fmt.Sprintf(`{"result":{"valid":false,"invalidity_reason":%q}}`+"\n", tt.reason)
		if w.Body.String() != want {
			t.Errorf("%s: got %s, want %s", name, w.Body, want)
		}
	}
}

func TestValidateSeesTheLocalRegion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		setRegion(t, s, "us-east", RegionSettings{Partitioned: true})
		token := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, token), http.StatusRequestTimeout)
		if v := s.validate(token, time.Now()); !v.Valid {
			t.Errorf("%+v before the local region has applied the revocation", v)
		}
	})
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, body := range []string{"", "{", "{}", tokenBody("") + "{}", tokenBody(string(make([]byte, maxBody)))} {
		wantStatus(t, validate(t, s, body), http.StatusBadRequest)
	}
}
