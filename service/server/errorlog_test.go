package server

import (
	"log/slog"
	"strings"
	"testing"
)

func TestHTTPErrorLog(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]struct {
		level string
		shown bool
	}{
		"http: TLS handshake error from [::1]:1: tls: header.claims.signature":                  {"INFO", false},
		"http: Accept error: accept tcp: too many open files; retrying in 5ms":                  {"WARN", true},
		"http: panic serving 127.0.0.1:1: header.claims.signature":                              {"WARN", false},
		"http2: received GOAWAY &{debugData:[104 101 97 100 101 114]}, starting":                {"WARN", false},
		`http2: server read frame DATA stream=1 data="{\"token\":\"header.claims.signature\"}"`: {"WARN", false},
		"http: header.claims.signature: TLS handshake error from 127.0.0.1:1":                   {"WARN", false},
	} {
		var out strings.Builder
		newHTTPErrorLog(slog.New(slog.NewTextHandler(&out, nil))).Print(message)
		if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "level="+want.level+" ") {
			t.Errorf("%s: %q is not one line at %s", message, &out, want.level)
		}
		if got := strings.Contains(out.String(), `msg="`+message+`"`); got != want.shown {
			t.Errorf("%s: shown: %t, want %t: %s", message, got, want.shown, &out)
		}
		if !want.shown && !strings.Contains(out.String(), "withheld") {
			t.Errorf("%s: it is not logged that a text was suppressed: %s", message, &out)
		}
	}
}
