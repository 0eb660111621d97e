// Package secrettest finds secrets in texts, for tests: any part of them, however it is
// encoded, and their digests.
package secrettest

import "strings"

// TellingRun is how many bytes in a row of a secret must not appear anywhere.
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
