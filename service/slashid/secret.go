package slashid

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// Secret is a bearer token or a key. If Go prints, logs or encodes it, the result is
// "[redacted]" or an address, and never the text. The zero value is an absent secret.
type Secret struct {
	// A pointer, because package fmt prints a value in an unexported field without
	// calling its methods. For a pointer it prints the address.
	text *string
}

// NewSecret returns text as a secret; an empty text is an absent one.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text. Use it only to build a request.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is absent.
func (s Secret) IsZero() bool { return s.text == nil }

// String implements [fmt.Stringer].
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter], for the verbs that do not call String.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json uses too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// revealingRun is how many consecutive bytes of a secret count as a leak. Shorter runs occur
// in any text by chance.
const revealingRun = 12

// OccursIn reports whether text contains the secret, or revealingRun consecutive bytes of it.
// The parts of a JWT are as secret as the whole, and so are pieces of them.
func (s Secret) OccursIn(text string) bool {
	secret := s.Reveal()
	if secret == "" {
		return false
	}
	if len(secret) <= revealingRun {
		return strings.Contains(text, secret)
	}
	for i := range len(text) - revealingRun + 1 {
		if strings.Contains(secret, text[i:i+revealingRun]) {
			return true
		}
	}
	return false
}
