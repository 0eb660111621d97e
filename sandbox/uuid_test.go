package sandbox

import (
	"regexp"
	"testing"
)

func TestNewUUIDIsRandomVersion4(t *testing.T) {
	t.Parallel()
	v4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := newUUID()
		if !v4.MatchString(id) {
			t.Fatalf("%q is no UUID of version 4", id)
		}
		seen[id] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ids of 1000", len(seen))
	}
}

func TestIsUUID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"01234567-89ab-CDEF-0123-456789abcdef":   true,
		"01234567-89ab-cdef-0123-456789abcde":    false,
		"01234567-89ab-cdef-0123-456789abcdefa":  false,
		"01234567-89ab-cdef-0123-456789abcdef\n": false,
		"0123456789abcdef0123456789abcdef":       false,
		"g1234567-89ab-cdef-0123-456789abcdef":   false,
		"":                                       false,
	} {
		if got := isUUID(s); got != want {
			t.Errorf("isUUID(%q) is %t", s, got)
		}
	}
}
