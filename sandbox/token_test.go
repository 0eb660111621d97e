package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// payload reads a token's claims without verifying it.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMintedClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{TokenLifetime: time.Minute})
		container := payload(t, mint(t, s, MintOptions{Container: true}))
		token, _ := container["user_token"].(string)
		user := payload(t, token)
		if container["jti"] == user["jti"] || container["sub"] != user["sub"] {
			t.Errorf("of person %v and %v, with jti %v and %v", container["sub"], user["sub"], container["jti"], user["jti"])
		}
		now, person := float64(time.Now().Unix()), user["sub"]
		want := map[string]any{
			"iss": "quash-sandbox", "sub": person, "aud": []any{DefaultOrgID}, "jti": user["jti"],
			"exp": now + 60, "nbf": now, "iat": now,
			"oid": DefaultOrgID, "org_id": DefaultOrgID, "person_id": person, "user_id": person,
			"authenticated_methods": []any{"api"}, "first_token": false, "prev_token_id": "", "groups": []any{},
		}
		if diff := cmp.Diff(want, user); diff != "" {
			t.Error(diff)
		}
		want["user_token"], want["jti"] = token, container["jti"]
		if diff := cmp.Diff(want, container); diff != "" {
			t.Errorf("in the container: %s", diff)
		}
	})
}

func TestLifetimesAreRoundedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		<-time.After(300 * time.Millisecond)
		token := mint(t, s, MintOptions{Lifetime: time.Millisecond})
		<-time.After(699 * time.Millisecond)
		if _, err := s.Revoked(token); err != nil {
			t.Errorf("before the second is full: %v", err)
		}
		<-time.After(time.Millisecond)
		negative := mint(t, s, MintOptions{Lifetime: -1, Container: true})
		for _, token := range []string{token, negative} {
			if _, err := s.Revoked(token); !errors.Is(err, ErrExpired) {
				t.Errorf("when the second is full: %v, want ErrExpired", err)
			}
		}
	})
}

func TestForeignTokens(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	own := mint(t, s, MintOptions{})
	parts := strings.Split(own, ".")

	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	none := encode(map[string]string{"alg": "none", "typ": "JWT"}) + "." + parts[1] + "."

	key, err := s.authority.public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	confused, err := jwt.Signed(hmac).Claims(map[string]any{"jti": "1", "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}

	for name, token := range map[string]string{
		"empty":                    "",
		"no JWT":                   "token",
		"two parts":                parts[0] + "." + parts[1],
		"four parts":               own + ".x",
		"without signature":        parts[0] + "." + parts[1] + ".",
		"with other claims":        parts[0] + "." + encode(map[string]any{"jti": "1", "exp": 1 << 40}) + "." + parts[2],
		"alg none":                 none,
		"the public key as secret": confused,
		"of another sandbox":       mint(t, newSandbox(t, Config{}), MintOptions{}),
	} {
		if _, err := s.Revoked(token); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v, want ErrForeign", name, err)
		}
	}
}
