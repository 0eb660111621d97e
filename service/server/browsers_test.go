package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Over HTTP/2 the header would end the connection of other calls, and no browser
// repeats a request there.
func TestLetBrowserGo(t *testing.T) {
	t.Parallel()
	for major, want := range map[int]string{1: "close", 2: ""} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, dropInPath, nil)
		r.ProtoMajor = major
		letBrowserGo(w, r)
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("HTTP/%d: Connection: %q, want %q", major, got, want)
		}
	}
}
