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
	// ErrForeign means that a token is malformed, or not signed by this sandbox
	// with ES256.
	ErrForeign = errors.New("sandbox: not a token of this sandbox")

	// ErrExpired means that a token of this sandbox has expired.
	ErrExpired = errors.New("sandbox: the token has expired")
)

// MintOptions says what a token holds. The zero value is a user token of a new
// person, valid for [Config.TokenLifetime].
type MintOptions struct {
	// PersonID is a UUID; every UUID is a known person. Empty means a random one.
	PersonID string

	// Lifetime is the validity from now on, rounded up to a whole second, and 0
	// means [Config.TokenLifetime]. A negative lifetime makes a token that
	// expired that long ago.
	Lifetime time.Duration

	// Container asks for a token container: the user token goes into its
	// user_token claim. The container has its own jti, but is revoked under that
	// of the user token.
	Container bool

	// CustomClaims are added to the user token. None may have the name of a
	// registered claim or of one of SlashID's.
	CustomClaims map[string]any
}

// Mint returns a signed token: a JWT of some 900 bytes in compact form, or of
// some 2,000 for a container.
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

// reservedClaims are the names that no custom claim may have: those of claims, and
// one that SlashID reserves.
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

// isUUID takes the usual form of a UUID, the only one SlashID writes.
func isUUID(s string) bool { return len(s) == len(uuid.Nil.String()) && uuid.Validate(s) == nil }

// authority signs tokens and recognises them again.
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
		// Claims count whole seconds, and a token must not die before its time.
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

// sign signs c, and custom claims, whose names are not those of c.
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
		payload = slices.Concat(payload[:len(payload)-1], []byte(","), more[1:]) // {…} and {…} to {…,…}
	}
	jws, err := a.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// identity is what the sandbox needs to know of a token.
type identity struct {
	// jti is the key of the revocation: for a container, the id of the user token
	// inside it. So one revocation kills both, whichever of them it named.
	jti       string
	expiresAt time.Time
	container bool
}

// live returns the identity of a token that is ours and has not expired, else
// [ErrForeign] or [ErrExpired].
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

// verify trusts nothing in the token's header: ES256 and our own key, or
// [ErrForeign]. The parser's errors are dropped because they can quote the token.
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
