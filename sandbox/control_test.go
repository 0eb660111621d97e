package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRegionsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{Regions: []string{"a", "b"}, ReplicationLag: 1500 * time.Millisecond})
	token := mint(t, s, MintOptions{})
	wantStatus(t, revoke(t.Context(), s, token), http.StatusNoContent)
	const region = `{"name":"b","lag":"%s","partitioned":%t,"local":false}`
	list := call(t, s, http.MethodGet, "/_sandbox/regions", "").Body.String()
	if want := `[{"name":"a","lag":"0s","partitioned":false,"local":true},` + fmt.Sprintf(region, "1.5s", false) + "]\n"; list != want {
		t.Errorf("got %s, want %s", list, want)
	}
	for _, tt := range []struct {
		body        string
		lag         string
		partitioned bool
	}{
		{`{"partitioned":true}`, "1.5s", true},
		{`{"lag":"1h"}`, "1h0m0s", true},
		{`{}`, "1h0m0s", true},
		{`{"lag":"0s","partitioned":false}`, "0s", false},
	} {
		w := call(t, s, http.MethodPut, "/_sandbox/regions/b", tt.body)
		wantStatus(t, w, http.StatusOK)
		if want := fmt.Sprintf(region, tt.lag, tt.partitioned) + "\n"; w.Body.String() != want {
			t.Errorf("%s: got %s, want %s", tt.body, w.Body, want)
		}
	}
	wantRevoked(t, s, token, "a", "b") // before the last answer
}

func TestFaultsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	const path = "/_sandbox/faults"
	wantStatus(t, call(t, s, http.MethodPost, path, `{"status":503,"delay":"1ms","headers":{"Retry-After":"1"},"body":"…","apply":true,"count":2}`), http.StatusNoContent)
	wantStatus(t, call(t, s, http.MethodPost, path, ` [{"reset":true}, {"status":429}]`), http.StatusNoContent)
	if w := revoke(t.Context(), s, mint(t, s, MintOptions{})); w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Body.String() != "…" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	want := `[{"count":1,"delay":"1ms","apply":true,"status":503,"headers":{"Retry-After":"1"},"body":"…"},` +
		`{"count":1,"reset":true},{"count":1,"status":429}]` + "\n"
	if got := call(t, s, http.MethodGet, path, "").Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantStatus(t, call(t, s, http.MethodDelete, path, ""), http.StatusNoContent)
	if got := call(t, s, http.MethodGet, path, "").Body.String(); got != "[]\n" {
		t.Errorf("got %s after DELETE", got)
	}
}

func TestRevocationsOverHTTP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{Regions: []string{"a", "b"}, ReplicationLag: time.Second})
		list := func(query string) string {
			return call(t, s, http.MethodGet, "/_sandbox/revocations"+query, "").Body.String()
		}
		if got := list(""); got != "[]\n" {
			t.Errorf("got %s before any revocation", got)
		}
		begun := time.Now().UTC()
		first, second := mint(t, s, MintOptions{}), mint(t, s, MintOptions{})
		wantStatus(t, revoke(t.Context(), s, first), http.StatusNoContent)
		<-time.After(time.Second)
		synctest.Wait()
		wantStatus(t, revoke(t.Context(), s, second), http.StatusNoContent)

		at := func(d time.Duration) string { return `"` + begun.Add(d).Format(time.RFC3339Nano) + `"` }
		line := `{"jti":%q,"expires_at":%s,"revoked_at":{"a":%s,"b":%s}}`
		one := fmt.Sprintf(line, payload(t, first)["jti"], at(24*time.Hour), at(0), at(time.Second))
		two := fmt.Sprintf(line, payload(t, second)["jti"], at(24*time.Hour), at(time.Second), "null")
		for query, want := range map[string]string{
			"": one + "," + two,
			fmt.Sprint("?jti=", payload(t, second)["jti"]): two,
			"?jti=unknown": "",
		} {
			if got := list(query); got != "["+want+"]\n" {
				t.Errorf("%s: got %s, want %s", query, got, want)
			}
		}
	})
}

func TestTokensOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for query, count := range map[string]int{"": 1, "?count=20": 20, "?count=2&container=true&lifetime=1h": 2, "?lifetime=-1h": 1} {
		w := call(t, s, http.MethodPost, "/_sandbox/tokens"+query, "")
		wantStatus(t, w, http.StatusOK)
		lines := strings.SplitAfter(w.Body.String(), "\n")
		if len(lines) != count+1 || lines[count] != "" {
			t.Fatalf("%s: %d lines, want %d", query, len(lines)-1, count)
		}
		for _, line := range lines[:count] {
			token := strings.TrimSuffix(line, "\n")
			if _, ok := payload(t, token)["user_token"]; ok != strings.Contains(query, "container") {
				t.Errorf("%s: container %t", query, ok)
			}
			if _, err := s.Revoked(token); errors.Is(err, ErrExpired) != strings.Contains(query, "-1h") {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
}

// An incomplete list of tokens must not look complete.
func TestIncompleteTokenListBreaksTheConnection(t *testing.T) {
	t.Parallel()
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

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	const faults, region, tokens, revocations = "POST /_sandbox/faults", "PUT /_sandbox/regions/eu-west", "POST /_sandbox/tokens", "GET /_sandbox/revocations"
	for _, tt := range []struct{ endpoint, body, message string }{
		{faults, ``, "EOF"},
		{faults, `{"status":"503"}`, "status"},
		{faults, `{"statsu":503}`, "unknown field"},
		{faults, `[{"status":503},{"code":503}]`, "unknown field"},
		{faults, `[{"status":503},{"status":999}]`, "fault 2: status 999"},
		{faults, `{"delay":"soon"}`, "invalid duration"},
		{faults, strings.Repeat(" ", maxBody+1), "64 KiB"},
		{region, ``, "EOF"},
		{region, `{"lag":"5"}`, "missing unit"},
		{region, `{"lag":"-5s"}`, "negative"},
		{region, `{"local":true}`, "unknown field"},
		{region, `{}{}`, "unexpected data"},
		{tokens + "?count=0", "", "count"},
		{tokens + "?count=1000001", "", "count"},
		{tokens + "?count=x", "", "count"},
		{tokens + "?count=1&count=2", "", "count"},
		{tokens + "?cuont=1", "", "cuont"},
		{tokens + "?container=maybe", "", "container"},
		{tokens + "?lifetime=0s", "", "lifetime"},
		{tokens + "?lifetime=60", "", "lifetime"},
		{revocations + "?JTI=1", "", "JTI"},
		{revocations + "?%zz", "", "query"},
	} {
		method, path, _ := strings.Cut(tt.endpoint, " ")
		w := call(t, s, method, path, tt.body)
		wantStatus(t, w, http.StatusBadRequest)
		if !strings.Contains(w.Body.String(), tt.message) {
			t.Errorf("%s %.40s: the message does not contain %q: %s", tt.endpoint, tt.body, tt.message, w.Body)
		}
	}
	wantStatus(t, call(t, s, http.MethodPut, "/_sandbox/regions/mars", `{}`), http.StatusNotFound)
	if n := len(s.Faults()); n != 0 {
		t.Errorf("%d faults of rejected requests were added", n)
	}
}
