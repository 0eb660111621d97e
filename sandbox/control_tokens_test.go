package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func mintMany(t *testing.T, s *Sandbox, query string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(s, newRequest(t.Context(), http.MethodPost, "/_sandbox/tokens"+query, ""))
}

func TestMintMany(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for query, count := range map[string]int{"": 1, "?count=20": 20, "?count=2&container=true&lifetime=1h": 2} {
		w := mintMany(t, s, query)
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("Content-Type is %q", got)
		}
		lines := strings.SplitAfter(w.Body.String(), "\n")
		if len(lines) != count+1 || lines[count] != "" {
			t.Fatalf("%s: %d lines, want %d", query, len(lines)-1, count)
		}
		for _, line := range lines[:count] {
			token := strings.TrimSuffix(line, "\n")
			if _, ok := payload(t, token)["user_token"]; ok != strings.Contains(query, "container") {
				t.Errorf("%s: container %t", query, ok)
			}
			wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
		}
	}
}

func TestMintManyLifetime(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := strings.TrimSpace(mintMany(t, s, "?lifetime=-1h").Body.String())
	if _, err := s.Revoked(token); !errors.Is(err, ErrExpired) {
		t.Errorf("%v, want ErrExpired", err)
	}
	id, err := s.authority.live(strings.TrimSpace(mintMany(t, s, "?lifetime=1h").Body.String()), time.Now())
	if left := time.Until(id.expiresAt); err != nil || left > time.Hour+time.Second || left < 50*time.Minute {
		t.Errorf("%v left, %v", left, err)
	}
}

func TestMintManyRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, query := range []string{
		"?count=0", "?count=1000001", "?count=-1", "?count=x", "?count=1&count=2", "?cuont=1",
		"?container=maybe", "?lifetime=0s", "?lifetime=60", "?%zz",
	} {
		wantStatus(t, mintMany(t, s, query), http.StatusBadRequest)
	}
}

func TestAStreamCutShortIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(s *Sandbox, leave func())
		want error
	}{
		"the client leaves":  {func(_ *Sandbox, leave func()) { leave() }, context.Canceled},
		"the sandbox closes": {func(s *Sandbox, _ func()) { s.Close() }, ErrClosed},
	} {
		s := newSandbox(t, Config{})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		tt.end(s, leave)
		if err := s.writeTokens(ctx, io.Discard, 1, MintOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}

	s := newSandbox(t, Config{})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	defer func() {
		if got, _ := recover().(error); !errors.Is(got, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want http.ErrAbortHandler", got)
		}
	}()
	serve(s, newRequest(ctx, http.MethodPost, "/_sandbox/tokens", ""))
}
