package slashid

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// Secret is a bearer token or a key. It holds the text, and every way in which
// Go prints, logs or encodes a value yields "[redacted]" instead. The zero value
// is an absent secret.
type Secret struct{ text string }

// NewSecret returns text as a secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text. It is for building a request, and for nothing else.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether the secret is absent.
func (s Secret) IsZero() bool { return s.text == "" }

// String implements [fmt.Stringer].
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter]: without it, verbs such as %x and %#v would
// reach into the struct.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json uses too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// shortestPart is the length from which a dot-separated part of a token is
// treated as telling: shorter ones turn up in any text by chance.
const shortestPart = 8

// OccursIn reports whether text holds the secret, or one of the parts between
// its dots: a JWT's claims alone are as private as the whole.
func (s Secret) OccursIn(text string) bool {
	if s.IsZero() || text == "" {
		return false
	}
	if strings.Contains(text, s.text) {
		return true
	}
	for part := range strings.SplitSeq(s.text, ".") {
		if len(part) >= shortestPart && strings.Contains(text, part) {
			return true
		}
	}
	return false
}
