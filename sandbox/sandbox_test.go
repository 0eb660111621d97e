package sandbox

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config Config
		want   []Region
	}{
		"defaults": {Config{}, []Region{{Name: "us-east", Local: true}, {Name: "eu-west"}, {Name: "ap-south"}}},
		"a lag, for remote regions only": {
			Config{Regions: []string{"a", "b"}, ReplicationLag: time.Second},
			[]Region{{Name: "a", Local: true}, {Name: "b", RegionSettings: RegionSettings{Lag: time.Second}}},
		},
	} {
		if diff := cmp.Diff(tt.want, newSandbox(t, tt.config).Regions()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}

	_, err := New(Config{
		Regions:        []string{"a", "", "a", "B", "-a", "a/b", strings.Repeat("x", 64)},
		ReplicationLag: -time.Second,
		TokenLifetime:  time.Millisecond,
	})
	for _, want := range []string{
		`region ""`, `region "a" is named twice`, `region "B"`, `region "-a"`, `region "a/b"`, `region "xxx`,
		"replication lag -1s is negative", "token lifetime 1ms is below one second",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestCloseEndsEveryWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Hour})
		token := mint(t, s, MintOptions{})
		begun := time.Now()

		waited := make(chan error, 1)
		go func() { waited <- s.WaitRevoked(t.Context(), token) }()
		answers := make(chan *httptest.ResponseRecorder, 2)
		go func() { answers <- revoke(t.Context(), s, token, consistencyHeader, allRegions) }()
		synctest.Wait()
		script(t, s, Fault{Delay: time.Hour})
		delayed := mint(t, s, MintOptions{})
		go func() { answers <- revoke(t.Context(), s, delayed) }()
		synctest.Wait()

		s.Close()
		s.Close()
		wantStatus(t, <-answers, http.StatusServiceUnavailable)
		wantStatus(t, <-answers, http.StatusServiceUnavailable)
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Errorf("WaitRevoked returned %v, want ErrClosed", err)
		}
		if elapsed := time.Since(begun); elapsed != 0 {
			t.Errorf("the waits ended after %v, want at once", elapsed)
		}

		wantStatus(t, revoke(t.Context(), s, token), http.StatusServiceUnavailable)
		if err := s.WaitRevoked(t.Context(), token); !errors.Is(err, ErrClosed) {
			t.Errorf("WaitRevoked of a closed sandbox returned %v, want ErrClosed", err)
		}
		if err := s.SetRegion("us-east", RegionSettings{}); !errors.Is(err, ErrClosed) {
			t.Errorf("SetRegion of a closed sandbox returned %v, want ErrClosed", err)
		}
		<-time.After(2 * time.Hour)
		wantRevoked(t, s, token, "us-east")
	})
}

func TestWaitRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: 3 * time.Second})
		token := mint(t, s, MintOptions{Lifetime: time.Minute})
		waited := make(chan error, 2)
		wait := func() { waited <- s.WaitRevoked(t.Context(), token) }
		go wait() // before the revocation starts
		synctest.Wait()
		if n := len(s.ledger.accepted()); n != 0 {
			t.Errorf("%d revocations are listed for a token that is only watched", n)
		}
		wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
		go wait() // while it replicates
		begun := time.Now()
		for range 2 {
			if err := <-waited; err != nil {
				t.Error(err)
			}
		}
		if elapsed := time.Since(begun); elapsed != 3*time.Second {
			t.Errorf("waited %v, want 3s", elapsed)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.WaitRevoked(ended, token); err != nil {
			t.Errorf("when it is already revoked: %v", err)
		}

		other := mint(t, s, MintOptions{Lifetime: time.Minute})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.WaitRevoked(impatient, other); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the deadline: %v", err)
		}
		for range 2 { // when the token expires, and once it has expired
			if err := s.WaitRevoked(t.Context(), other); !errors.Is(err, ErrExpired) {
				t.Errorf("an expired token: %v", err)
			}
		}
		if err := s.WaitRevoked(t.Context(), "token"); !errors.Is(err, ErrForeign) {
			t.Errorf("a foreign token: %v", err)
		}
	})
}

func TestStartServesUntilTheTestEnds(t *testing.T) {
	var server *Server
	get := func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/_sandbox/regions", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return http.DefaultTransport.RoundTrip(r)
	}
	t.Run("a test", func(t *testing.T) {
		server = Start(t, Config{})
		resp, err := get()
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	})
	if resp, err := get(); err == nil {
		_ = resp.Body.Close()
		t.Error("it still serves after the test")
	}
	if !isClosed(server.closed) {
		t.Error("the sandbox is not closed after the test")
	}
}
