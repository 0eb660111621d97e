package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const person = "01234567-89ab-cdef-0123-456789abcdef"

func TestUnknownEndpoints(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, endpoint := range []string{
		"POST /", "POST /token", "POST /token/revoke/", "POST /token//revoke", "POST /token/../token/revoke", "POST //token/revoke",
		"POST /persons//mint-token", "POST /_sandbox/", "PUT /_sandbox/regions/", "PUT /_sandbox/regions/a/b",
		"GET /token/revoke", "POST /.well-known/jwks.json", "PATCH /_sandbox/faults",
	} {
		method, path, _ := strings.Cut(endpoint, " ")
		wantStatus(t, call(t, s, method, path, ""), http.StatusNotFound)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{APIKey: "key"})
	user := mint(t, s, MintOptions{})
	revoked := mint(t, s, MintOptions{})
	wantStatus(t, serve(s, newRequest(t.Context(), http.MethodPost, "/token/revoke", tokenBody(revoked), apiKeyHeader, "key")), http.StatusNoContent)

	const key, bearer, no, yes = apiKeyHeader, "Authorization", http.StatusUnauthorized, http.StatusNoContent
	for name, tt := range map[string]struct {
		header []string
		status int
	}{
		"none":                     {nil, no},
		"the API key":              {[]string{key, "key"}, yes},
		"another API key":          {[]string{key, "Key"}, no},
		"an empty API key":         {[]string{key, ""}, no},
		"a user token":             {[]string{bearer, "Bearer " + user}, yes},
		"a user token, lower case": {[]string{bearer, "bearer " + user}, yes},
		"a bad key, a user token":  {[]string{key, "?", bearer, "Bearer " + user}, yes},
		"an empty bearer token":    {[]string{bearer, "Bearer"}, no},
		"the API key as bearer":    {[]string{bearer, "Bearer key"}, no},
		"another scheme":           {[]string{bearer, "Basic " + user}, no},
		"a revoked token":          {[]string{bearer, "Bearer " + revoked}, no},
		"an expired token":         {[]string{bearer, "Bearer " + mint(t, s, MintOptions{Lifetime: -time.Hour})}, no},
		"a container":              {[]string{bearer, "Bearer " + mint(t, s, MintOptions{Container: true})}, no},
		"a foreign token":          {[]string{bearer, "Bearer " + mint(t, newSandbox(t, Config{}), MintOptions{})}, no},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(t.Context(), http.MethodPost, "/token/revoke", `{"token":"`+mint(t, s, MintOptions{})+`","reason":"an unknown member"}`, tt.header...)
			wantStatus(t, serve(s, r), tt.status)
		})
	}
}

func TestATokenMayRevokeItself(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	r := newRequest(t.Context(), http.MethodPost, "/token/revoke", tokenBody(token), "Authorization", "Bearer "+token)
	wantStatus(t, serve(s, r), http.StatusNoContent)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		setRegion(t, s, "eu-west", RegionSettings{Partitioned: true})
		revoked := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, revoked), http.StatusNoContent)
		setRegion(t, s, "us-east", RegionSettings{Partitioned: true})
		pending := mint(t, s, MintOptions{Lifetime: 90 * time.Second})
		wantStatus(t, revoke(t.Context(), s, pending), http.StatusRequestTimeout) // after 30 s

		live := fmt.Sprintf(`{"expires_at":%q,"expires_in_seconds":60,"valid":true}`, time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
		const invalid = `{"invalidity_reason":"invalid_token_content","valid":false}`
		for name, tt := range map[string]struct{ token, want string }{
			"live":             {mint(t, s, MintOptions{Lifetime: time.Minute}), live},
			"live container":   {mint(t, s, MintOptions{Lifetime: time.Minute, Container: true}), live},
			"revoked locally":  {revoked, invalid},
			"not yet revoked":  {pending, live},
			"malformed":        {"token", invalid},
			"of another issue": {mint(t, newSandbox(t, Config{}), MintOptions{}), invalid},
			"expired":          {mint(t, s, MintOptions{Lifetime: -time.Second}), `{"invalidity_reason":"expired","valid":false}`},
		} {
			w := call(t, s, http.MethodPost, "/token/validate", tokenBody(tt.token))
			wantStatus(t, w, http.StatusOK)
			var answer struct {
				Result map[string]any `json:"result"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(answer.Result); string(got) != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
		}
		for _, body := range []string{"", "{", "{}", tokenBody("t") + "{}", tokenBody(string(make([]byte, maxBody)))} {
			wantStatus(t, call(t, s, http.MethodPost, "/token/validate", body), http.StatusBadRequest)
		}
	})
}

func TestMintForAPerson(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	both := []string{apiKeyHeader, DefaultAPIKey, orgIDHeader, DefaultOrgID}
	for _, tt := range []struct {
		name, person, body string
		header             []string
		status             int
		role               string
	}{
		{"no body", person, "", both, http.StatusCreated, "<nil>"},
		{"no claims", person, `{"custom_claims":null}`, both, http.StatusCreated, "<nil>"},
		{"a claim", person, `{"custom_claims":{"role":"admin"}}`, both, http.StatusCreated, "admin"},
		{"no API key", person, "", both[2:], http.StatusUnauthorized, ""},
		{"no organisation", person, "", both[:2], http.StatusUnauthorized, ""},
		{"another organisation", person, "", append(both[:2:2], orgIDHeader, "other"), http.StatusUnauthorized, ""},
		{"no UUID", "me", "", both, http.StatusNotFound, ""},
		{"a slash in the id", "a%2Fb", "", both, http.StatusNotFound, ""},
		{"malformed JSON", person, "{", both, http.StatusBadRequest, ""},
		{"a registered claim", person, `{"custom_claims":{"exp":1}}`, both, http.StatusBadRequest, ""},
		{"a body over 64 KiB", person, strings.Repeat(" ", maxBody+1), both, http.StatusBadRequest, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := serve(s, newRequest(t.Context(), http.MethodPost, "/persons/"+tt.person+"/mint-token", tt.body, tt.header...))
			wantStatus(t, w, tt.status)
			if tt.status != http.StatusCreated {
				return
			}
			var answer struct {
				Result string `json:"result"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			claims := payload(t, answer.Result)
			if claims["person_id"] != person || fmt.Sprint(claims["role"]) != tt.role {
				t.Errorf("person_id %v, role %v", claims["person_id"], claims["role"])
			}
		})
	}
}

func TestJWKSVerifiesAMintedToken(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	w := call(t, s, http.MethodGet, "/.well-known/jwks.json", "")
	wantStatus(t, w, http.StatusOK)
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(w.Body.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Keys {
		if !key.IsPublic() || key.Algorithm != string(jose.ES256) || key.Use != "sig" {
			t.Errorf("unexpected key: public %t, alg %q, use %q", key.IsPublic(), key.Algorithm, key.Use)
		}
	}
	parsed, err := jwt.ParseSigned(mint(t, s, MintOptions{}), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(keys, &claims); err != nil || claims.Issuer != DefaultIssuer { // finds the key by its kid
		t.Errorf("%v, issuer %q", err, claims.Issuer)
	}
}
