package sandbox

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestCorrelationIDs(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	seen := make(map[string]bool)
	for range 100 {
		w := serve(s, newRequest(t.Context(), http.MethodGet, "/_sandbox/regions", ""))
		wantStatus(t, w, http.StatusOK)
		seen[w.Header().Get(correlationIDHeader)] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d different ids in 100 answers", len(seen))
	}
}

func TestCloseEndsEveryWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Hour})
		token := mint(t, s, MintOptions{})
		delayed := mint(t, s, MintOptions{})
		begun := time.Now()

		waited := make(chan error, 1)
		go func() { waited <- s.WaitRevoked(t.Context(), token) }()
		answers := make(chan *httptest.ResponseRecorder, 2)
		go func() { answers <- revoke(t.Context(), s, token, consistencyHeader, allRegions) }()
		synctest.Wait()
		if err := s.Script(Fault{Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
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
	})
}

func TestClosedSandboxRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	token := mint(t, s, MintOptions{})
	s.Close()
	wantStatus(t, revoke(t.Context(), s, token), http.StatusServiceUnavailable)
	if err := s.WaitRevoked(t.Context(), token); !errors.Is(err, ErrClosed) {
		t.Errorf("WaitRevoked returned %v, want ErrClosed", err)
	}
	if err := s.SetRegion("us-east", RegionSettings{}); !errors.Is(err, ErrClosed) {
		t.Errorf("SetRegion returned %v, want ErrClosed", err)
	}
}

func TestClosedSandboxReplicatesNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{ReplicationLag: time.Second})
		token := mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
		s.Close()
		<-time.After(2 * time.Second)
		wantRevoked(t, s, token, "us-east")
	})
}
