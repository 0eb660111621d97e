package sandbox

import (
	"bufio"
	"encoding/json"
	"net/http"
	"time"
)

// revocationJSON is one revocation in every region.
type revocationJSON struct {
	JTI       string                `json:"jti"`
	ExpiresAt time.Time             `json:"expires_at"`
	RevokedAt map[string]*time.Time `json:"revoked_at"`
}

// handleRevocations serves GET /_sandbox/revocations: an array in the order of
// acceptance, streamed, so that a listing of many never exists at once. ?jti= asks
// for one; a container has the jti of the user token inside it. Tokens that have
// expired may be gone from it.
func (s *Sandbox) handleRevocations(w http.ResponseWriter, r *http.Request) {
	query, err := parseQuery(r, "jti")
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	separator := "["
	for _, e := range s.ledger.accepted() {
		if query.Has("jti") && query.Get("jti") != e.jti {
			continue
		}
		_, _ = out.WriteString(separator)
		separator = ","
		// A failure to write means that the caller has gone.
		if err := enc.Encode(revocationJSON{e.jti, e.expiresAt.UTC(), s.ledger.state(e)}); err != nil {
			return
		}
	}
	if separator == "[" {
		_, _ = out.WriteString(separator)
	}
	_, _ = out.WriteString("]\n")
	_ = out.Flush()
}
