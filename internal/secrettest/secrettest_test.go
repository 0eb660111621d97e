package secrettest_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/quashdev/quash/internal/secrettest"
)

// A test that looks for traces must be able to see one.
func TestTrace(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-some-length-that-nobody-knows"
	for i := range len(secret) - 16 {
		piece := secret[i : i+16]
		for name, text := range map[string]string{
			"plain":             piece,
			"hexadecimal":       fmt.Sprintf("%x", piece),
			"capitals":          fmt.Sprintf("%X", piece),
			"spaced":            fmt.Sprintf("% x", piece),
			"marked and spaced": fmt.Sprintf("%# x", piece),
			"a Go literal":      fmt.Sprintf("%#v", []byte(piece)),
			"escaped":           fmt.Sprintf(`\x%x\x%x`, piece[:1], piece[1:]),
			"decimal":           fmt.Sprintf("%d", []byte(piece)),
			"base64":            base64.StdEncoding.EncodeToString([]byte(piece)),
			"base64 for URLs":   base64.RawURLEncoding.EncodeToString([]byte("." + piece)),
		} {
			if secrettest.Trace("<"+text+">", secret) == "" {
				t.Errorf("%s: missed in %q", name, text)
			}
		}
	}
	for _, text := range []string{"", "[redacted]", secret[:11], fmt.Sprintf("%x", secret[:11]), fmt.Sprintf("%d", []byte(secret[:11]))} {
		if trace := secrettest.Trace(text, secret); trace != "" {
			t.Errorf("%q seen in %q", trace, text)
		}
	}
}
