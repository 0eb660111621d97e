package sandbox

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

var (
	// ErrForeign means that a token is malformed, or that this sandbox did not sign it
	// with ES256.
	ErrForeign = errors.New("sandbox: not a token of this sandbox")

	// ErrExpired means that a token of this sandbox has expired.
	ErrExpired = errors.New("sandbox: the token has expired")
)

// MintOptions describes a token to mint. The zero value is a user token of a new person,
// valid for [Config.TokenLifetime].
type MintOptions struct {
	// PersonID is a UUID; every UUID is a known person. Empty means a random one.
	PersonID string

	// Lifetime is how long the token is valid, rounded up to a whole second; 0 means
	// [Config.TokenLifetime]. A negative lifetime mints a token that expired that long
	// ago.
	Lifetime time.Duration

	// Container mints a token container: the user token is in its user_token claim. The
	// container has its own jti, but it is revoked under the jti of the user token.
	Container bool

	// CustomClaims are added to the user token. They must not use the name of a
	// registered claim or of one of SlashID's claims.
	CustomClaims map[string]any
}

// Mint returns a signed token: a JWT in compact form, of about 900 bytes, or about 2,000 for
// a container.
func (s *Sandbox) Mint(opts MintOptions) (string, error) {
	if opts.Lifetime == 0 {
		opts.Lifetime = s.config.TokenLifetime
	}
	token, err := s.authority.mint(opts, time.Now())
	if err != nil {
		return "", fmt.Errorf("sandbox: minting a token: %w", err)
	}
	return token, nil
}

// reservedClaims are the names that custom claims must not use: the fields of claims, and
// oidc_tokens, which SlashID reserves.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti",
	"oid", "org_id", "person_id", "user_id", "authenticated_methods",
	"first_token", "prev_token_id", "groups", "user_token", "oidc_tokens",
}

// claims is the payload of the sandbox's tokens.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	Expiry    int64    `json:"exp"`
	NotBefore int64    `json:"nbf"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`

	OID                  string   `json:"oid"`
	OrgID                string   `json:"org_id"`
	PersonID             string   `json:"person_id"`
	UserID               string   `json:"user_id"`
	AuthenticatedMethods []string `json:"authenticated_methods"`
	FirstToken           bool     `json:"first_token"`
	PrevTokenID          string   `json:"prev_token_id"`
	Groups               []string `json:"groups"`

	UserToken string `json:"user_token,omitempty"`
}

func checkCustomClaims(custom map[string]any) error {
	for name := range custom {
		if slices.Contains(reservedClaims, name) {
			return fmt.Errorf("custom claim %q is reserved", name)
		}
	}
	return nil
}

// isUUID accepts only the 36-character form of a UUID, which is the one SlashID uses.
func isUUID(s string) bool { return len(s) == len(uuid.Nil.String()) && uuid.Validate(s) == nil }

// authority signs and verifies tokens.
type authority struct {
	issuer string
	orgID  string
	signer jose.Signer
	public jose.JSONWebKey
}

func newAuthority(issuer, orgID string) (*authority, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)

	key := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &authority{issuer: issuer, orgID: orgID, signer: signer, public: public}, nil
}

func (a *authority) mint(opts MintOptions, now time.Time) (string, error) {
	if opts.PersonID == "" {
		opts.PersonID = uuid.NewString()
	}
	if !isUUID(opts.PersonID) {
		return "", errors.New("the person id is not a UUID")
	}
	if err := checkCustomClaims(opts.CustomClaims); err != nil {
		return "", err
	}
	c := a.newClaims(opts.PersonID, opts.Lifetime, now)
	token, err := a.sign(c, opts.CustomClaims)
	if err != nil || !opts.Container {
		return token, err
	}
	c.ID = uuid.NewString()
	c.UserToken = token
	return a.sign(c, nil)
}

func (a *authority) newClaims(personID string, lifetime time.Duration, now time.Time) claims {
	issued, expiry := now, now.Add(lifetime)
	if lifetime < 0 {
		issued = expiry.Add(-DefaultTokenLifetime)
	} else {
		// Claims are whole seconds. Round up, so that a token does not expire early.
		expiry = expiry.Add(time.Second - time.Nanosecond)
	}
	return claims{
		Issuer:    a.issuer,
		Subject:   personID,
		Audience:  []string{a.orgID},
		Expiry:    expiry.Unix(),
		NotBefore: issued.Unix(),
		IssuedAt:  issued.Unix(),
		ID:        uuid.NewString(),

		OID:                  a.orgID,
		OrgID:                a.orgID,
		PersonID:             personID,
		UserID:               personID,
		AuthenticatedMethods: []string{"api"},
		Groups:               []string{},
	}
}

// sign returns a signed token with the claims c and custom. Their names must not overlap.
func (a *authority) sign(c claims, custom map[string]any) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	if len(custom) > 0 {
		more, err := json.Marshal(custom)
		if err != nil {
			return "", err
		}
		payload = slices.Concat(payload[:len(payload)-1], []byte(","), more[1:]) // joins the two JSON objects
	}
	jws, err := a.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// identity is what the sandbox reads from a token.
type identity struct {
	// jti is the key of the revocation. For a container it is the jti of the user token
	// inside it, so that revoking either of them revokes both.
	jti       string
	expiresAt time.Time
	container bool
}

// live returns the identity of a token that this authority signed and that has not expired.
// The error is [ErrForeign] or [ErrExpired].
func (a *authority) live(token string, now time.Time) (identity, error) {
	c, err := a.verify(token)
	if err != nil {
		return identity{}, err
	}
	id := identity{jti: c.ID, expiresAt: time.Unix(c.Expiry, 0)}
	if !now.Before(id.expiresAt) {
		return identity{}, ErrExpired
	}
	if c.UserToken == "" {
		return id, nil
	}
	user, err := a.verify(c.UserToken)
	if err != nil {
		return identity{}, err
	}
	id.jti = user.ID
	id.container = true
	return id, nil
}

// verify trusts nothing in the token's header: a token that is not signed with ES256 and
// our own key is [ErrForeign]. The parser's errors are dropped because they can quote the
// token.
//
// Claim names are compared exactly, as package jwt does and encoding/json does
// not: a custom claim USER_TOKEN must not make a container.
func (a *authority) verify(token string) (claims, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return claims{}, ErrForeign
	}
	var c claims
	if err := parsed.Claims(a.public.Key, &c); err != nil {
		return claims{}, ErrForeign
	}
	return c, nil
}
