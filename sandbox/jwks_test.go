package sandbox

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestJWKSVerifiesAMintedToken(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	w := serve(s, newRequest(t.Context(), http.MethodGet, "/.well-known/jwks.json", ""))
	wantStatus(t, w, http.StatusOK)

	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(w.Body.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Keys {
		if !key.IsPublic() || key.Algorithm != string(jose.ES256) || key.Use != "sig" || key.KeyID == "" {
			t.Errorf("unexpected key: public %t, alg %q, use %q, kid %q", key.IsPublic(), key.Algorithm, key.Use, key.KeyID)
		}
	}
	parsed, err := jwt.ParseSigned(mint(t, s, MintOptions{}), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(keys, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != DefaultIssuer {
		t.Errorf("issuer %q", claims.Issuer)
	}
}
