package sandbox

import (
	"errors"
	"net/http"
	"time"
)

// validity is the result of POST /token/validate. A token that is not valid has
// the reason alone, a valid one the rest.
type validity struct {
	Valid            bool       `json:"valid"`
	InvalidityReason string     `json:"invalidity_reason,omitempty"`
	ExpiresInSeconds *int64     `json:"expires_in_seconds,omitempty"`
	ExpiresAt        *time.Time `json:"expires_at,omitempty"`
}

// handleValidate serves POST /token/validate with the view of the local region.
// SlashID documents no credentials for it, so none are asked for.
func (s *Sandbox) handleValidate(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return
	}
	token, err := decodeToken(body)
	if err != nil {
		writeError(w, err)
		return
	}
	writeResult(w, http.StatusOK, s.validate(token, time.Now()))
}

func (s *Sandbox) validate(token string, now time.Time) validity {
	id, err := s.authority.live(token, now)
	switch {
	case errors.Is(err, ErrExpired):
		return validity{InvalidityReason: "expired"}
	case err != nil, s.ledger.revokedLocally(id.jti):
		// SlashID documents no reason for a revoked token; this is the nearest of
		// those it does.
		return validity{InvalidityReason: "invalid_token_content"}
	}
	left := int64(id.expiresAt.Sub(now) / time.Second)
	at := id.expiresAt.UTC()
	return validity{Valid: true, ExpiresInSeconds: &left, ExpiresAt: &at}
}
