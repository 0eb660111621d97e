package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// anyToken matches the tokens that the sandbox mints, and any JWT like them.
var anyToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]*`)

// traceOf names what text holds of a token, or returns "". Known are tokens that
// text may hold parts or a hash of.
func traceOf(text string, known []string) string {
	if anyToken.MatchString(text) {
		return "text"
	}
	for _, token := range known {
		digest := sha256.Sum256([]byte(token))
		parts := strings.Split(token, ".")
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var id struct {
			JTI string `json:"jti"`
		}
		_ = json.Unmarshal(claims, &id)
		for name, trace := range map[string]string{
			"claims":                parts[1],
			"signature":             parts[2],
			"jti":                   id.JTI,
			"SHA-256":               hex.EncodeToString(digest[:]),
			"SHA-256 in base64":     base64.RawStdEncoding.EncodeToString(digest[:]),
			"SHA-256 in URL base64": base64.RawURLEncoding.EncodeToString(digest[:]),
		} {
			if trace != "" && strings.Contains(text, trace) {
				return name
			}
		}
	}
	return ""
}

// The scripts rely on this to find what must not be there, so it is tried on
// what must be found.
func TestTraceOf(t *testing.T) {
	t.Parallel()
	const (
		claims = "eyJqdGkiOiJhYmMtMTIzIn0" // {"jti":"abc-123"}
		token  = "eyJhbGciOiJub25lIn0." + claims + ".c2ln"
	)
	sum := sha256.Sum256([]byte(token))
	for text, want := range map[string]string{
		"level=INFO msg=serving":              "",
		"token " + token + " revoked":         "text",
		"claims=" + claims:                    "claims",
		"signature=c2ln":                      "signature",
		"revoked jti=abc-123":                 "jti",
		"hash=" + hex.EncodeToString(sum[:]):  "SHA-256",
		"hash=" + strings.Repeat("0", 64):     "",
		"an unknown token eyJhIjoxfQ.eyJ9.x_": "text",
	} {
		if got := traceOf(text, []string{token}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
