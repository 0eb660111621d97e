package sandbox

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"
)

const (
	apiKeyHeader = "SlashID-API-Key"
	orgIDHeader  = "SlashID-OrgID"
)

var errUnauthenticated = &refusal{http.StatusUnauthorized, "missing or invalid credentials"}

// authenticate accepts the API key, or a live user token of the sandbox as bearer
// token; a container is no user token.
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

// authenticateOrg accepts the API key together with the organisation's id.
func (s *Sandbox) authenticateOrg(h http.Header) error {
	if !s.hasAPIKey(h) || h.Get(orgIDHeader) != s.config.OrgID {
		return errUnauthenticated
	}
	return nil
}

func (s *Sandbox) hasAPIKey(h http.Header) bool {
	return subtle.ConstantTimeCompare([]byte(h.Get(apiKeyHeader)), []byte(s.config.APIKey)) == 1
}
