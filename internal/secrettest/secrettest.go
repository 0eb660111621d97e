// Package secrettest tells whether a text has anything of a secret. It is for
// tests.
package secrettest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// TellingRun is how many bytes in a row of a secret must not be found anywhere.
const TellingRun = 12

// SharedRun returns TellingRun bytes in a row that text has from secret, if any.
func SharedRun(text, secret string) string {
	for i := range max(0, len(secret)-TellingRun+1) {
		if run := secret[i : i+TellingRun]; strings.Contains(text, run) {
			return run
		}
	}
	return ""
}

// Trace returns what text tells of secret: TellingRun bytes in a row of it, as they
// are or byte by byte in hexadecimal or decimal, or a run of it in base64.
func Trace(text, secret string) string {
	hexadecimal := strings.NewReplacer(" ", "", ",", "", "0x", "", `\x`, "").Replace(strings.ToLower(text))
	decimal := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }), " ")
	for i := range max(0, len(secret)-TellingRun+1) {
		run := secret[i : i+TellingRun]
		if strings.Contains(text, run) ||
			strings.Contains(hexadecimal, hex.EncodeToString([]byte(run))) ||
			strings.Contains(decimal, strings.Trim(fmt.Sprintf("%d", []byte(run)), "[]")) {
			return run
		}
	}
	base := strings.NewReplacer("-", "+", "_", "/").Replace(text)
	for i := range min(3, len(secret)) { // where base64's groups of three may begin
		if run := SharedRun(base, base64.RawStdEncoding.EncodeToString([]byte(secret[i:]))); run != "" {
			return run
		}
	}
	return ""
}

// Spiked is text made to hold, in any TellingRun bytes in a row, something that
// stands in no text of ours: where it is found, it has been told.
func Spiked(text string) string {
	spiked := []byte(text)
	for i := 4; i+1 < len(spiked); i += 6 {
		copy(spiked[i:], "0Z")
	}
	return string(spiked)
}
