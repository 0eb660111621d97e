package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
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
		s := newSandbox(t, Config{Issuer: "someone", OrgID: "org", TokenLifetime: time.Minute})
		person := uuid.NewString()
		got := payload(t, mint(t, s, MintOptions{PersonID: person, CustomClaims: map[string]any{"role": "admin"}}))
		if id, _ := got["jti"].(string); !isUUID(id) {
			t.Errorf("jti is %v", got["jti"])
		}
		delete(got, "jti")
		now := float64(time.Now().Unix())
		want := map[string]any{
			"iss": "someone", "sub": person, "aud": []any{"org"},
			"exp": now + 60, "nbf": now, "iat": now,
			"oid": "org", "org_id": "org", "person_id": person, "user_id": person,
			"authenticated_methods": []any{"api"}, "first_token": false, "prev_token_id": "", "groups": []any{},
			"role": "admin",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestContainerHoldsAUserToken(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	container := payload(t, mint(t, s, MintOptions{Container: true, CustomClaims: map[string]any{"role": "admin"}}))
	token, _ := container["user_token"].(string)
	user := payload(t, token)
	for _, name := range []string{"exp", "sub", "org_id"} {
		if container[name] != user[name] {
			t.Errorf("%s: %v in the container, %v in the user token", name, container[name], user[name])
		}
	}
	if container["jti"] == user["jti"] {
		t.Error("the container has the user token's jti")
	}
	if container["role"] != nil || user["role"] != "admin" {
		t.Errorf("role: %v in the container, %v in the user token", container["role"], user["role"])
	}
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
		if _, err := s.Revoked(token); !errors.Is(err, ErrExpired) {
			t.Errorf("when the second is full: %v, want ErrExpired", err)
		}
	})
}

func TestNegativeLifetimeMintsExpiredTokens(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, container := range []bool{false, true} {
		for _, lifetime := range []time.Duration{-1, -time.Hour} {
			token := mint(t, s, MintOptions{Lifetime: lifetime, Container: container})
			if _, err := s.Revoked(token); !errors.Is(err, ErrExpired) {
				t.Errorf("lifetime %v: %v, want ErrExpired", lifetime, err)
			}
		}
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for name, opts := range map[string]MintOptions{
		"a person id that is no UUID":   {PersonID: "me"},
		"a reserved claim":              {CustomClaims: map[string]any{"exp": 1}},
		"a claim that JSON cannot hold": {CustomClaims: map[string]any{"f": func() {}}},
	} {
		if _, err := s.Mint(opts); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestEveryClaimIsReserved(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[claims]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !slices.Contains(reservedClaims, name) {
			t.Errorf("%s is not reserved", name)
		}
	}
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

func TestCustomClaimMakesNoContainer(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	victim := mint(t, s, MintOptions{})
	token := mint(t, s, MintOptions{CustomClaims: map[string]any{"USER_TOKEN": victim, "JTI": "other"}})
	if got := revoke(t.Context(), s, token); got.Code != 204 {
		t.Fatalf("status %d", got.Code)
	}
	wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
	wantRevoked(t, s, victim)
}
