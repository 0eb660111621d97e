// Package secrettest finds secrets in texts, for tests: any part of them, however it is
// encoded, and their digests.
package secrettest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

// TellingRun is how many bytes in a row of a secret must not appear anywhere.
const TellingRun = 12

// A Secret is a text that must not appear, and its name for messages.
type Secret struct{ Name, Text string }

// OfToken returns what is secret of a JWT: the whole of it, its parts, which may be
// hashed by themselves, the bytes of the signature, and the claims that say which
// token it is and whose.
func OfToken(name, token string) []Secret {
	secrets := []Secret{{name, token}}
	add := func(what, text string) {
		if len(text) >= TellingRun {
			secrets = append(secrets, Secret{name + "'s " + what, text})
		}
	}
	parts := append(strings.Split(token, "."), "", "") // what is no JWT has fewer
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
			add(what+"'s bytes", string(id[:])) // which in hex are the UUID without its dashes
		}
	}
	return secrets
}

// SharedRun returns TellingRun bytes in a row that text has from secret, if any.
func SharedRun(text, secret string) string {
	for i := range max(0, len(secret)-TellingRun+1) {
		if run := secret[i : i+TellingRun]; strings.Contains(text, run) {
			return run
		}
	}
	return ""
}

// Trace says in which form text holds secret, or TellingRun bytes in a row of it; "" if in
// none.
func Trace(text, secret string) string {
	what, _ := NewSearcher(Secret{"the secret", secret}).Find(text)
	return what
}

// Spiked is text changed to hold, in any TellingRun bytes in a row, something that is in no
// text of ours, so that finding it means that it was leaked.
func Spiked(text string) string {
	spiked := []byte(text)
	for i := 4; i+1 < len(spiked); i += 6 {
		copy(spiked[i:], "0Z")
	}
	return string(spiked)
}
