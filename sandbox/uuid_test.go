package sandbox

import "testing"

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
