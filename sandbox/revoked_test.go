package sandbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitRevoked(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"before it is asked for": true, "while it replicates": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSandbox(t, Config{ReplicationLag: 3 * time.Second})
				token := mint(t, s, MintOptions{})
				waited := make(chan error, 1)
				wait := func() { waited <- s.WaitRevoked(t.Context(), token) }
				if before {
					go wait()
					synctest.Wait()
				}
				wantStatus(t, revoke(t.Context(), s, token), 204)
				if !before {
					go wait()
				}
				begun := time.Now()
				if err := <-waited; err != nil {
					t.Fatal(err)
				}
				if elapsed := time.Since(begun); elapsed != 3*time.Second {
					t.Errorf("waited %v, want 3s", elapsed)
				}
				wantRevoked(t, s, token, "us-east", "eu-west", "ap-south")
			})
		})
	}
}

func TestWaitRevokedOfADeadTokenNeedsNoTime(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	wantStatus(t, revoke(t.Context(), s, token), 204)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitRevoked(ended, token); err != nil {
		t.Error(err)
	}
}

func TestWaitRevokedEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{})
		token := mint(t, s, MintOptions{Lifetime: time.Minute})

		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.WaitRevoked(impatient, token); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
		if err := s.WaitRevoked(t.Context(), token); !errors.Is(err, ErrExpired) {
			t.Errorf("when the token expires: %v", err)
		}
		if err := s.WaitRevoked(t.Context(), token); !errors.Is(err, ErrExpired) {
			t.Errorf("once the token has expired: %v", err)
		}
		if err := s.WaitRevoked(t.Context(), "token"); !errors.Is(err, ErrForeign) {
			t.Errorf("foreign token: %v", err)
		}
	})
}

func TestWatchingIsNoRevocation(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitRevoked(ended, token); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantRevoked(t, s, token)
	if n := len(s.ledger.accepted()); n != 0 {
		t.Errorf("%d revocations are listed", n)
	}
}
