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

// Every message is a constant, so that none can quote a token.
var (
	errConsistency        = badRequest(consistencyHeader + " must be local_region or all_regions, and must not contradict itself")
	errConsistencyTimeout = badRequest(consistencyTimeoutHeader + " must be an integer from 1 to 120, and must not contradict itself")

	errTokenMissing  = badRequest("token is required")
	errTokenInvalid  = badRequest("the token is invalid")
	errTokenExpired  = badRequest("the token has expired")
	errTokenRevoked  = badRequest("the token is already revoked")
	errNotReachedYet = &refusal{http.StatusRequestTimeout, "the required consistency was not reached in time; the revocation continues"}
)

// handleRevoke serves POST /token/revoke: 204 when the revocation has reached the required
// consistency, 408 when it has not within the timeout.
func (s *Sandbox) handleRevoke(w http.ResponseWriter, r *http.Request) error {
	// Read the body first: Fault promises that a client is reset only after its body has
	// been read.
	body, bodyErr := readBody(r)
	fault := s.faults.next()
	s.pause(r.Context(), fault.Delay)
	if fault.Apply && bodyErr == nil {
		_, _, _ = s.beginRevocation(r.Header, body) // an invalid call revokes nothing
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

// beginRevocation checks a call and starts or joins its revocation. reached is closed when
// the revocation has the consistency that the call requires.
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

// agree reports whether all values of a repeated header are equal.
func agree(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// await returns nil once the required consistency is reached. The revocation continues
// even if the wait ends early, for example because the client disconnects.
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
	case isClosed(reached): // select picks at random when several channels are ready
		return nil
	case isClosed(s.closed):
		return ErrClosed
	default:
		return errNotReachedYet
	}
}

// pause waits for d. It returns early if the client disconnects or the sandbox is closed.
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
