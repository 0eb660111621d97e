package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

const person = "01234567-89ab-cdef-0123-456789abcdef"

func TestMintForAPerson(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for body, role := range map[string]any{
		``:                                   nil,
		`{}`:                                 nil,
		`{"custom_claims":null}`:             nil,
		`{"custom_claims":{}}`:               nil,
		`{"custom_claims":{"role":"admin"}}`: "admin",
	} {
		w := serve(s, newRequest(t.Context(), http.MethodPost, "/persons/"+person+"/mint-token", body,
			apiKeyHeader, DefaultAPIKey, orgIDHeader, DefaultOrgID))
		wantStatus(t, w, http.StatusCreated)
		var answer struct {
			Result string `json:"result"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		claims := payload(t, answer.Result)
		if claims["person_id"] != person || claims["role"] != role {
			t.Errorf("body %q: person_id %v, role %v", body, claims["person_id"], claims["role"])
		}
		wantStatus(t, revoke(t.Context(), s, answer.Result), http.StatusNoContent)
	}
}

func TestCustomNumbersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	claims, err := decodeCustomClaims([]byte(`{"custom_claims":{"n":9007199254740993}}`))
	if err != nil || claims["n"] != json.Number("9007199254740993") {
		t.Errorf("%v, %v", claims, err)
	}
}

func TestMintForAPersonRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	both := []string{apiKeyHeader, DefaultAPIKey, orgIDHeader, DefaultOrgID}
	for _, tt := range []struct {
		name, person, body string
		header             []string
		status             int
	}{
		{"no API key", person, "", both[2:], http.StatusUnauthorized},
		{"no organisation", person, "", both[:2], http.StatusUnauthorized},
		{"another organisation", person, "", append(both[:2:2], orgIDHeader, "other"), http.StatusUnauthorized},
		{"a user token", person, "", append(both[2:4:4], "Authorization", "Bearer "+mint(t, s, MintOptions{})), http.StatusUnauthorized},
		{"no UUID", "me", "", both, http.StatusNotFound},
		{"a slash in the id", "a%2Fb", "", both, http.StatusNotFound},
		{"malformed JSON", person, "{", both, http.StatusBadRequest},
		{"a registered claim", person, `{"custom_claims":{"exp":1}}`, both, http.StatusBadRequest},
		{"a claim of SlashID's", person, `{"custom_claims":{"oidc_tokens":[]}}`, both, http.StatusBadRequest},
		{"a body over 64 KiB", person, strings.Repeat(" ", maxBody+1), both, http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t.Context(), http.MethodPost, "/persons/"+tt.person+"/mint-token", tt.body, tt.header...)
			wantStatus(t, serve(s, r), tt.status)
		})
	}
}
