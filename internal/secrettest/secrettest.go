// Package secrettest is the leak scan of the tests. It finds parts of secrets in texts, in many
// encodings, and digests of secrets.
package secrettest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

// LeakLen is the number of consecutive bytes of a secret that count as a leak.
const LeakLen = 12

// A Secret is a text that must not appear, and its name for messages.
type Secret struct{ Name, Text string }

// OfToken returns the secrets of a JWT: the token, its parts (which may also be hashed
// separately), the bytes of the signature, and the claims that identify the token and its
// owner.
func OfToken(name, token string) []Secret {
	secrets := []Secret{{name, token}}
	add := func(what, text string) {
		if len(text) >= LeakLen {
			secrets = append(secrets, Secret{name + "'s " + what, text})
		}
	}
	parts := append(strings.Split(token, "."), "", "") // a text that is not a JWT has fewer parts
	add("header", parts[0])
	add("claims", parts[1])
	add("signature", parts[2])
	add("signing input", parts[0]+"."+parts[1])
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	add("signature, decoded", string(signature))
	decoded, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		JTI string `json:"jti"`
		Sub string `json:"sub"`
	}
	_ = json.Unmarshal(decoded, &claims)
	for what, text := range map[string]string{"jti": claims.JTI, "sub": claims.Sub} {
		add(what, text)
		if id, err := uuid.Parse(text); err == nil {
			add(what+"'s bytes", string(id[:])) // in hex: the UUID without dashes
		}
	}
	return secrets
}

// SharedRun returns LeakLen consecutive bytes of secret that are in text; "" without a leak.
func SharedRun(text, secret string) string {
	for i := range max(0, len(secret)-LeakLen+1) {
		if run := secret[i : i+LeakLen]; strings.Contains(text, run) {
			return run
		}
	}
	return ""
}

// Trace returns in which form text contains secret, or LeakLen consecutive bytes of it; ""
// without a leak.
func Trace(text, secret string) string {
	what, _ := NewSearcher(Secret{"the secret", secret}).Find(text)
	return what
}

// Spiked returns text with marks such that any LeakLen consecutive bytes contain a mark. No text
// of quash contains the marks, so SharedRun has no false positives.
func Spiked(text string) string {
	spiked := []byte(text)
	for i := 4; i+1 < len(spiked); i += 6 {
		copy(spiked[i:], "0Z")
	}
	return string(spiked)
}
