package server

import (
	"log/slog"
	"strings"
	"testing"
)

func TestHTTPErrorLog(t *testing.T) {
	t.Parallel()
	for message, told := range map[string]bool{
		"http: TLS handshake error from 127.0.0.1:1: EOF":                                       true,
		"http: Accept error: accept tcp: too many open files; retrying in 5ms":                  true,
		"http: panic serving 127.0.0.1:1: header.claims.signature":                              false,
		"http2: received GOAWAY &{debugData:[104 101 97 100 101 114]}, starting":                false,
		`http2: server read frame DATA stream=1 data="{\"token\":\"header.claims.signature\"}"`: false,
		"http: header.claims.signature: TLS handshake error from 127.0.0.1:1":                   false,
	} {
		var out strings.Builder
		newHTTPErrorLog(slog.New(slog.NewTextHandler(&out, nil))).Print(message)
		if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "level=WARN") {
			t.Errorf("%s: %q is not one warning", message, &out)
		}
		if got := strings.Contains(out.String(), `msg="`+message+`"`); got != told {
			t.Errorf("%s: told: %t, want %t: %s", message, got, told, &out)
		}
		if !told && !strings.Contains(out.String(), "withheld") {
			t.Errorf("%s: nobody learns of it: %s", message, &out)
		}
	}
}
