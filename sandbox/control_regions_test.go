package sandbox

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestListRegions(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{Regions: []string{"a", "b"}, ReplicationLag: 1500 * time.Millisecond})
	w := serve(s, newRequest(t.Context(), http.MethodGet, "/_sandbox/regions", ""))
	wantStatus(t, w, http.StatusOK)
	want := `[{"name":"a","lag":"0s","partitioned":false,"local":true},{"name":"b","lag":"1.5s","partitioned":false,"local":false}]` + "\n"
	if w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestPutRegionKeepsAbsentMembers(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, tt := range []struct{ body, lag, partitioned string }{
		{`{"lag":"5s"}`, "5s", "false"},
		{`{"partitioned":true}`, "5s", "true"},
		{`{}`, "5s", "true"},
		{`{"lag":"0s","partitioned":false}`, "0s", "false"},
	} {
		w := serve(s, newRequest(t.Context(), http.MethodPut, "/_sandbox/regions/eu-west", tt.body))
		wantStatus(t, w, http.StatusOK)
		want := `{"name":"eu-west","lag":"` + tt.lag + `","partitioned":` + tt.partitioned + `,"local":false}` + "\n"
		if w.Body.String() != want {
			t.Errorf("%s: got %s, want %s", tt.body, w.Body, want)
		}
	}
}

func TestPutRegionAppliesBeforeItAnswers(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{ReplicationLag: time.Hour})
	token := mint(t, s, MintOptions{})
	wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
	wantStatus(t, serve(s, newRequest(t.Context(), http.MethodPut, "/_sandbox/regions/eu-west", `{"lag":"0s"}`)), http.StatusOK)
	wantRevoked(t, s, token, "us-east", "eu-west")
}

func TestPutRegionRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, tt := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"mars", `{"lag":"5s"}`, http.StatusNotFound, "no such region"},
		{"eu-west", ``, http.StatusBadRequest, "empty"},
		{"eu-west", `{"lag":"5"}`, http.StatusBadRequest, "missing unit"},
		{"eu-west", `{"lag":5}`, http.StatusBadRequest, "lag cannot be a JSON number"},
		{"eu-west", `{"lag":"-5s"}`, http.StatusBadRequest, "negative"},
		{"eu-west", `{"local":true}`, http.StatusBadRequest, "unknown field"},
		{"eu-west", strings.Repeat(" ", maxBody+1), http.StatusBadRequest, "64 KiB"},
	} {
		w := serve(s, newRequest(t.Context(), http.MethodPut, "/_sandbox/regions/"+tt.name, tt.body))
		wantStatus(t, w, tt.status)
		if !strings.Contains(w.Body.String(), tt.message) {
			t.Errorf("%.20s: the message lacks %q: %s", tt.body, tt.message, w.Body)
		}
	}
}
