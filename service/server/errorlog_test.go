package server

import (
	"log/slog"
	"strings"
	"testing"
)

// Errors of net/http are logged without data that a client sent.
func TestHTTPErrorLog(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"http: TLS handshake error from [::1]:1: tls: header.claims.signature":                                   `level=INFO msg="TLS handshake failed" peer=[::1]:1 cause="text suppressed`,
		"http: TLS handshake error from [::1]:1: tls: client didn't provide a certificate; claims":               `cause="client didn't provide a certificate"`,
		"http: TLS handshake error from [::1]:1: tls: client requested unsupported application protocols claims": `cause="client requested unsupported application protocols"`,
		"http: Accept error: accept tcp: too many open files; retrying in 5ms":                                   "", // the listener logs it
		"http: panic serving 127.0.0.1:1: header.claims.signature":                                               "level=WARN msg=\"HTTP server error; text suppressed",
		"http2: received GOAWAY &{debugData: claims}, starting":                                                  "level=WARN msg=\"HTTP server error; text suppressed",
		`http2: server read frame DATA stream=1 data="{\"token\":\"header.claims.signature\"}"`:                  "level=WARN msg=\"HTTP server error; text suppressed",
		"http: header.claims.signature: TLS handshake error from 127.0.0.1:1":                                    "level=WARN msg=\"HTTP server error; text suppressed",
	} {
		var out strings.Builder
		newHTTPErrorLog(slog.New(slog.NewTextHandler(&out, nil))).Print(message)
		lines := 1
		if want == "" {
			lines = 0
		}
		if strings.Count(out.String(), "\n") != lines || !strings.Contains(out.String(), want) || strings.Contains(out.String(), "claims") {
			t.Errorf("%s: %q, want %d line with %s", message, &out, lines, want)
		}
	}
}
