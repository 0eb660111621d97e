package sandbox

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestListRevocations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSandbox(t, Config{Regions: []string{"a", "b"}, ReplicationLag: time.Second})
		list := func(query string) string {
			t.Helper()
			w := serve(s, newRequest(t.Context(), http.MethodGet, "/_sandbox/revocations"+query, ""))
			wantStatus(t, w, http.StatusOK)
			return w.Body.String()
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
		line := `{"jti":%q,"expires_at":%s,"revoked_at":{"a":%s,"b":%s}}` + "\n"
		one := fmt.Sprintf(line, payload(t, first)["jti"], at(24*time.Hour), at(0), at(time.Second))
		two := fmt.Sprintf(line, payload(t, second)["jti"], at(24*time.Hour), at(time.Second), "null")
		if got, want := list(""), "["+one+","+two+"]\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := list(fmt.Sprint("?jti=", payload(t, second)["jti"])), "["+two+"]\n"; got != want {
			t.Errorf("filtered: got %s, want %s", got, want)
		}
		if got := list("?jti=unknown"); got != "[]\n" {
			t.Errorf("unknown jti: got %s", got)
		}
	})
}

func TestListRevocationsRefusesUnknownParameters(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, Config{})
	for _, query := range []string{"?JTI=1", "?jti=1&jti=2", "?%zz"} {
		wantStatus(t, serve(s, newRequest(t.Context(), http.MethodGet, "/_sandbox/revocations"+query, "")), http.StatusBadRequest)
	}
}
