package sandbox

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Every message is a constant: none can quote a token.
var (
	errTokenMissing  = &refusal{http.StatusBadRequest, "token is required"}
	errTokenInvalid  = &refusal{http.StatusBadRequest, "the token is invalid"}
	errTokenExpired  = &refusal{http.StatusBadRequest, "the token has expired"}
	errTokenRevoked  = &refusal{http.StatusBadRequest, "the token is already revoked"}
	errNotReachedYet = &refusal{http.StatusRequestTimeout, "the required consistency was not reached in time; the revocation goes on"}
)

// handleRevoke serves POST /token/revoke: 204 once the revocation is at the level
// asked for, and 408 when it is not in time.
func (s *Sandbox) handleRevoke(w http.ResponseWriter, r *http.Request) {
	// The body comes first of all: a client that is reset must have written it.
	body, bodyErr := readBody(r)
	begin := func() (*waiting, error) {
		if bodyErr != nil {
			return nil, bodyErr
		}
		return s.beginRevocation(r.Header, body)
	}

	fault := s.faults.next()
	s.pause(r.Context(), fault.Delay)
	if fault.Apply {
		_, _ = begin() // what cannot be revoked is not
	}
	if fault.scripted() {
		fault.end(w)
		return
	}

	revocation, err := begin()
	if err != nil {
		writeError(w, err)
		return
	}
	if err := s.await(r.Context(), revocation); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// waiting is a revocation that is under way, and what its caller waits for.
type waiting struct {
	reached <-chan struct{}
	timeout time.Duration
}

// beginRevocation checks a call and begins what it asks for, or joins it.
func (s *Sandbox) beginRevocation(h http.Header, body []byte) (*waiting, error) {
	if err := s.authenticate(h); err != nil {
		return nil, err
	}
	want, err := parseConsistency(h)
	if err != nil {
		return nil, err
	}
	token, err := decodeToken(body)
	if err != nil {
		return nil, err
	}
	id, err := s.authority.live(token, time.Now())
	switch {
	case errors.Is(err, ErrExpired):
		return nil, errTokenExpired
	case err != nil:
		return nil, errTokenInvalid
	}
	e, err := s.ledger.accept(id.jti, id.expiresAt)
	switch {
	case errors.Is(err, errAlreadyRevoked):
		return nil, errTokenRevoked
	case err != nil:
		return nil, err
	}
	return &waiting{reached: want.reached(e), timeout: want.timeout}, nil
}

// await returns nil once the level is reached. Nothing that ends the wait earlier
// ends the revocation, the client's disconnect included.
func (s *Sandbox) await(ctx context.Context, revocation *waiting) error {
	if isClosed(revocation.reached) {
		return nil
	}
	timer := time.NewTimer(revocation.timeout)
	defer timer.Stop()
	select {
	case <-revocation.reached:
		return nil
	case <-s.closed:
		return ErrClosed
	case <-timer.C:
	case <-ctx.Done():
	}
	if isClosed(revocation.reached) {
		return nil // both at the same moment
	}
	return errNotReachedYet
}

// pause waits for d, or until the caller has gone or the sandbox is closed.
func (s *Sandbox) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.closed:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// decodeToken reads the body {"token": "…"} of the /token endpoints.
func decodeToken(body []byte) (string, error) {
	var request struct {
		Token string `json:"token"`
	}
	if err := decodeJSON(body, &request); err != nil {
		return "", err
	}
	if request.Token == "" {
		return "", errTokenMissing
	}
	return request.Token, nil
}
