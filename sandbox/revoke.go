package sandbox

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	consistencyHeader        = "SlashID-Required-Consistency"
	consistencyTimeoutHeader = "SlashID-Required-Consistency-Timeout"

	localRegion = "local_region"
	allRegions  = "all_regions"

	defaultTimeout = 30 * time.Second
	maxTimeout     = 120 // seconds
)

// Every message is a constant: none can quote a token.
var (
	errConsistency        = badRequest(consistencyHeader + " must be local_region or all_regions, and must not contradict itself")
	errConsistencyTimeout = badRequest(consistencyTimeoutHeader + " must be an integer from 1 to 120, and must not contradict itself")

	errTokenMissing  = badRequest("token is required")
	errTokenInvalid  = badRequest("the token is invalid")
	errTokenExpired  = badRequest("the token has expired")
	errTokenRevoked  = badRequest("the token is already revoked")
	errNotReachedYet = &refusal{http.StatusRequestTimeout, "the required consistency was not reached in time; the revocation goes on"}
)

// handleRevoke serves POST /token/revoke: 204 once the revocation is at the level
// asked for, and 408 when it is not in time.
func (s *Sandbox) handleRevoke(w http.ResponseWriter, r *http.Request) error {
	// The body comes first of all: a client that is reset must have written it.
	body, bodyErr := readBody(r)
	fault := s.faults.next()
	s.pause(r.Context(), fault.Delay)
	if fault.Apply && bodyErr == nil {
		_, _, _ = s.beginRevocation(r.Header, body) // what cannot be revoked is not
	}
	if fault.endsCall() {
		fault.end(w)
		return nil
	}
	if bodyErr != nil {
		return bodyErr
	}
	reached, timeout, err := s.beginRevocation(r.Header, body)
	if err != nil {
		return err
	}
	if err := s.await(r.Context(), reached, timeout); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// beginRevocation checks a call and begins what it asks for, or joins it. reached is
// closed once the revocation is at the level that the call waits for.
func (s *Sandbox) beginRevocation(h http.Header, body []byte) (reached <-chan struct{}, timeout time.Duration, err error) {
	if err := s.authenticate(h); err != nil {
		return nil, 0, err
	}
	level, timeout, err := parseConsistency(h)
	if err != nil {
		return nil, 0, err
	}
	token, err := decodeToken(body)
	if err != nil {
		return nil, 0, err
	}
	id, err := s.authority.live(token, time.Now())
	switch {
	case errors.Is(err, ErrExpired):
		return nil, 0, errTokenExpired
	case err != nil:
		return nil, 0, errTokenInvalid
	}
	e, err := s.ledger.accept(id.jti, id.expiresAt)
	if err != nil {
		return nil, 0, err
	}
	if level == allRegions {
		return e.everywhere, timeout, nil
	}
	return e.locally, timeout, nil
}

func parseConsistency(h http.Header) (level string, timeout time.Duration, err error) {
	level, timeout = localRegion, defaultTimeout
	if values := h.Values(consistencyHeader); len(values) > 0 {
		level = values[0]
		if !agree(values) || level != localRegion && level != allRegions {
			return "", 0, errConsistency
		}
	}
	if values := h.Values(consistencyTimeoutHeader); len(values) > 0 {
		seconds, err := strconv.ParseUint(values[0], 10, 8)
		if !agree(values) || err != nil || seconds < 1 || seconds > maxTimeout {
			return "", 0, errConsistencyTimeout
		}
		timeout = time.Duration(seconds) * time.Second
	}
	return level, timeout, nil
}

// agree reports whether all lines of a header have the same value.
func agree(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// await returns nil once the level is reached. Nothing that ends the wait earlier
// ends the revocation, the client's disconnect included.
func (s *Sandbox) await(ctx context.Context, reached <-chan struct{}, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-reached:
	case <-s.closed:
	case <-timer.C:
	case <-ctx.Done():
	}
	switch {
	case isClosed(reached): // perhaps at the same moment as one of the others
		return nil
	case isClosed(s.closed):
		return ErrClosed
	default:
		return errNotReachedYet
	}
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
