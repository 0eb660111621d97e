// Package secrettest tells whether a text has anything of a secret. It is for
// tests.
package secrettest

import "strings"

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

// Spiked is text made to hold, in any TellingRun bytes in a row, something that
// stands in no text of ours: where it is found, it has been told.
func Spiked(text string) string {
	spiked := []byte(text)
	for i := 4; i+1 < len(spiked); i += 6 {
		copy(spiked[i:], "0Z")
	}
	return string(spiked)
}
