package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStub(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, dropInPath, http.StatusNoContent},
		{http.MethodGet, dropInPath, http.StatusNotFound},
		{http.MethodPost, nativePath, http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		new(stub).ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader("{}")))
		if w.Code != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if w.Code == http.StatusNoContent && w.Header().Get("Slashid-Correlation-Id") == "" {
			t.Error("the answer has no id")
		}
	}
}

func TestStubHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := httptest.NewRecorder()
		(&stub{hold: 8 * time.Second}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, dropInPath, strings.NewReader("{}")))
		if got := time.Since(begun); got != 8*time.Second || w.Code != http.StatusNoContent {
			t.Errorf("after %s it answers %d", got, w.Code)
		}
	})
}

// Both kinds speak what they should, and count.
func TestUpstream(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	for speaks, major := range map[protocol]int{http1: 1, http2: 2} {
		u, err := s.startUpstream(t.Context(), speaks, 0, goStreams)
		if err != nil {
			t.Fatal(err)
		}
		defer u.stop()
		transport, err := childConfig{ca: s.certFile}.newTransport()
		if err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.url+dropInPath, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent || resp.ProtoMajor != major {
				t.Errorf("%s: it answers %s over %s", speaks, resp.Status, resp.Proto)
			}
		}
		if got, err := u.counts(t.Context()); err != nil || got != (stubCounts{Connections: 1, Requests: 2}) {
			t.Errorf("%s: it counts %+v, %v", speaks, got, err)
		}
	}
}
