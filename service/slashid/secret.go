package slashid

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// Secret is a bearer token or a key. Every way in which Go prints, logs or encodes
// a value yields "[redacted]" instead of the text, or an address. The zero value
// is an absent secret.
type Secret struct {
	// A pointer, because package fmt does not call the methods of a value in an
	// unexported field, but prints what it finds there. Of a pointer it prints the
	// address.
	text *string
}

// NewSecret returns text as a secret; an empty text is an absent one.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text. It is for building a request, and for nothing else.
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

// Format implements [fmt.Formatter], for the verbs that do not ask for a string.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json uses too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// revealingRun is how many bytes in a row reveal something of a secret. Shorter runs
// turn up in any text by chance.
const revealingRun = 12

// OccursIn reports whether text reveals something of the secret: all of it where it
// is short, else any revealingRun bytes in a row. The parts of a JWT are as private
// as the whole, and so are pieces of them.
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
