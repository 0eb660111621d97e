package sandbox

import "net/http"

var errUnknownPerson = &refusal{http.StatusNotFound, "no such person"}

// handleMint serves POST /persons/{person_id}/mint-token. Every UUID is a known
// person; the body may be empty, or add custom claims.
func (s *Sandbox) handleMint(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return
	}
	if err := s.authenticateOrg(r.Header); err != nil {
		writeError(w, err)
		return
	}
	person := r.PathValue("person_id")
	if !isUUID(person) {
		writeError(w, errUnknownPerson)
		return
	}
	custom, err := decodeCustomClaims(body)
	if err != nil {
		writeError(w, err)
		return
	}
	token, err := s.Mint(MintOptions{PersonID: person, CustomClaims: custom})
	if err != nil {
		writeError(w, err)
		return
	}
	writeResult(w, http.StatusCreated, token)
}

func decodeCustomClaims(body []byte) (map[string]any, error) {
	var request struct {
		CustomClaims map[string]any `json:"custom_claims"`
	}
	if len(body) == 0 {
		return request.CustomClaims, nil
	}
	if err := decodeJSON(body, &request); err != nil {
		return nil, err
	}
	if err := checkCustomClaims(request.CustomClaims); err != nil {
		return nil, badRequest(err.Error())
	}
	return request.CustomClaims, nil
}
