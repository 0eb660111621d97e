package sandbox

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	apiKeyHeader = "SlashID-API-Key"
	orgIDHeader  = "SlashID-OrgID"
)

var (
	errUnauthenticated = &refusal{http.StatusUnauthorized, "missing or invalid credentials"}
	errUnknownPerson   = &refusal{http.StatusNotFound, "no such person"}
)

// authenticate accepts the API key, or a valid user token of the sandbox as bearer token. A
// container is not a user token.
func (s *Sandbox) authenticate(h http.Header) error {
	if s.hasAPIKey(h) {
		return nil
	}
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return errUnauthenticated
	}
	id, err := s.authority.live(token, time.Now())
	if err != nil || id.container || s.ledger.revokedLocally(id.jti) {
		return errUnauthenticated
	}
	return nil
}

func (s *Sandbox) hasAPIKey(h http.Header) bool {
	return subtle.ConstantTimeCompare([]byte(h.Get(apiKeyHeader)), []byte(s.config.APIKey)) == 1
}

// validity is the result of POST /token/validate. InvalidityReason is set only for an
// invalid token, the fields after it only for a valid one.
type validity struct {
	Valid            bool       `json:"valid"`
	InvalidityReason string     `json:"invalidity_reason,omitempty"`
	ExpiresInSeconds *int64     `json:"expires_in_seconds,omitempty"`
	ExpiresAt        *time.Time `json:"expires_at,omitempty"`
}

// handleValidate serves POST /token/validate with the state of the local region. It requires
// no credentials, because SlashID documents none for it.
func (s *Sandbox) handleValidate(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	token, err := decodeToken(body)
	if err != nil {
		return err
	}
	return writeResult(w, http.StatusOK, s.validate(token, time.Now()))
}

func (s *Sandbox) validate(token string, now time.Time) validity {
	id, err := s.authority.live(token, now)
	switch {
	case errors.Is(err, ErrExpired):
		return validity{InvalidityReason: "expired"}
	case err != nil, s.ledger.revokedLocally(id.jti):
		// SlashID documents no reason for a revoked token. Of the documented ones, this is
		// the closest.
		return validity{InvalidityReason: "invalid_token_content"}
	}
	left := int64(id.expiresAt.Sub(now) / time.Second)
	at := id.expiresAt.UTC()
	return validity{Valid: true, ExpiresInSeconds: &left, ExpiresAt: &at}
}

// handleMint serves POST /persons/{person_id}/mint-token. It requires the API key and the
// organisation's id. Every UUID is a known person. The body may be empty, or add custom
// claims.
func (s *Sandbox) handleMint(w http.ResponseWriter, r *http.Request) error {
	if !s.hasAPIKey(r.Header) || r.Header.Get(orgIDHeader) != s.config.OrgID {
		return errUnauthenticated
	}
	person := r.PathValue("person_id")
	if !isUUID(person) {
		return errUnknownPerson
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	var request struct {
		CustomClaims map[string]any `json:"custom_claims"`
	}
	if len(body) > 0 {
		if err := decodeJSON(body, &request); err != nil {
			return err
		}
	}
	if err := checkCustomClaims(request.CustomClaims); err != nil {
		return badRequest(err.Error())
	}
	token, err := s.Mint(MintOptions{PersonID: person, CustomClaims: request.CustomClaims})
	if err != nil {
		return err
	}
	return writeResult(w, http.StatusCreated, token)
}

// handleJWKS serves GET /.well-known/jwks.json: the public key that verifies the sandbox's
// tokens.
func (s *Sandbox) handleJWKS(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.authority.public}})
}
