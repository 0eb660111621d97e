package sandbox

import (
	"context"
	"time"
)

// Revoked reports for each region, by name, whether it has applied the revocation of token.
// A container is revoked exactly when the user token inside it is. The error is
// [ErrForeign] or [ErrExpired]; the sandbox does not keep expired tokens.
func (s *Sandbox) Revoked(token string) (map[string]bool, error) {
	id, err := s.authority.live(token, time.Now())
	if err != nil {
		return nil, err
	}
	return s.ledger.revoked(id.jti), nil
}

// WaitRevoked waits until every region has applied the revocation of token. The revocation
// may start during the wait. The error is the cause of ctx's cancellation, [ErrForeign],
// [ErrExpired] (also when the token expires during the wait) or [ErrClosed].
func (s *Sandbox) WaitRevoked(ctx context.Context, token string) error {
	id, err := s.authority.live(token, time.Now())
	if err != nil {
		return err
	}
	everywhere, err := s.ledger.watch(id.jti, id.expiresAt)
	if err != nil {
		return err
	}
	if isClosed(everywhere) {
		return nil // also if ctx is done or the sandbox is closed
	}
	ctx, cancel := context.WithDeadlineCause(ctx, id.expiresAt, ErrExpired)
	defer cancel()
	select {
	case <-everywhere:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closed:
		return ErrClosed
	}
}
