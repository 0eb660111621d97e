package sandbox

import (
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// handleJWKS serves GET /.well-known/jwks.json: the public key, with which
// anyone can verify the sandbox's tokens.
func (s *Sandbox) handleJWKS(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.authority.public}})
}
