package sandbox

import (
	"net/http"
	"testing"
	"time"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{APIKey: "key"})
	user := mint(t, s, MintOptions{})
	revoked := mint(t, s, MintOptions{})
	wantStatus(t, serve(s, newRequest(t.Context(), http.MethodPost, "/token/revoke", tokenBody(revoked), apiKeyHeader, "key")), http.StatusNoContent)

	for name, tt := range map[string]struct {
		header []string
		status int
	}{
		"none":                     {nil, http.StatusUnauthorized},
		"the API key":              {[]string{apiKeyHeader, "key"}, http.StatusNoContent},
		"another API key":          {[]string{apiKeyHeader, "Key"}, http.StatusUnauthorized},
		"an empty API key":         {[]string{apiKeyHeader, ""}, http.StatusUnauthorized},
		"a user token":             {[]string{"Authorization", "Bearer " + user}, http.StatusNoContent},
		"a user token, lower case": {[]string{"Authorization", "bearer " + user}, http.StatusNoContent},
		"a bad key, a user token":  {[]string{apiKeyHeader, "?", "Authorization", "Bearer " + user}, http.StatusNoContent},
		"an empty bearer token":    {[]string{"Authorization", "Bearer"}, http.StatusUnauthorized},
		"the API key as bearer":    {[]string{"Authorization", "Bearer key"}, http.StatusUnauthorized},
		"another scheme":           {[]string{"Authorization", "Basic " + user}, http.StatusUnauthorized},
		"a revoked token":          {[]string{"Authorization", "Bearer " + revoked}, http.StatusUnauthorized},
		"an expired token":         {[]string{"Authorization", "Bearer " + mint(t, s, MintOptions{Lifetime: -time.Hour})}, http.StatusUnauthorized},
		"a container":              {[]string{"Authorization", "Bearer " + mint(t, s, MintOptions{Container: true})}, http.StatusUnauthorized},
		"a foreign token":          {[]string{"Authorization", "Bearer " + mint(t, newSandbox(t, Config{}), MintOptions{})}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := mint(t, s, MintOptions{})
			r := newRequest(t.Context(), http.MethodPost, "/token/revoke", tokenBody(target), tt.header...)
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
