package slashid

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

// gramSize is how many bytes a screen compares at a time. Every tellingRun bytes in a row
// hold such a piece at one of any gramStride places that follow one another.
const (
	gramSize   = 6
	gramStride = tellingRun - gramSize + 1
)

// screen says quickly of most secrets that a text tells nothing of them: it looks at some
// pieces of a secret only, and in a table. What it lets through is to be compared.
type screen struct {
	text []byte
	// seen has two bits of one word for every piece of text: a Bloom filter of blocks.
	seen [screenWords]uint64
}

// screenWords is a power of two, and about as many as a UUID and what it decodes to have
// pieces.
const screenWords = 1 << 7

// fill makes the table of s.text.
func (s *screen) fill() {
	for i := range len(s.text) - gramSize + 1 {
		word, bits := hashOf(gramAt(s.text, i))
		s.seen[word] |= bits
	}
}

// mayTell is false where the screened text tells nothing of secret.
func (s *screen) mayTell(secret string) bool {
	if len(secret) <= tellingRun {
		return secret != "" && bytes.Contains(s.text, []byte(secret))
	}
	for i := 0; i+gramSize <= len(secret); i += gramStride {
		if s.holds(gramAt(secret, i)) {
			return true
		}
	}
	return false
}

// mayTellDecoded is mayTell for what encoded is the base64 of. Of tellingRun bytes in a row,
// wherever they begin, three groups of three bytes are whole, and thus four characters
// each, and a pair of such groups that begins at an even one is among them.
func (s *screen) mayTellDecoded(encoded string) bool {
	const pair = 8
	for ; len(encoded) >= pair; encoded = encoded[pair:] {
		var gram, values uint64
		for i := range pair {
			value := uint64(base64Values[encoded[i]])
			gram, values = gram<<6|value, values|value
		}
		// What is not base64 may be nothing: who decodes all of it knows.
		if values >= notBase64 || s.holds(gram) {
			return true
		}
	}
	return false
}

// holds reports whether the text holds a piece.
func (s *screen) holds(gram uint64) bool {
	if word, bits := hashOf(gram); s.seen[word]&bits != bits {
		return false
	}
	for i := range len(s.text) - gramSize + 1 {
		if gramAt(s.text, i) == gram {
			return true
		}
	}
	return false
}

// gramAt is the piece of a text that begins at i, first byte first.
func gramAt[T string | []byte](text T, i int) uint64 {
	return uint64(text[i])<<40 | uint64(text[i+1])<<32 | uint64(text[i+2])<<24 |
		uint64(text[i+3])<<16 | uint64(text[i+4])<<8 | uint64(text[i+5])
}

// hashOf is one of screenWords, and one or two of its bits. The factor is the golden
// ratio's, which spreads well.
func hashOf(gram uint64) (word, bits uint64) {
	h := gram * 0x9e3779b97f4a7c15
	return h >> 57, 1<<(h>>51%64) | 1<<(h>>45%64)
}

// appendDecodings appends to a text what it is in hex and base64, wherever in it that
// begins, each after a zero byte.
func appendDecodings(text []byte) []byte {
	all := text
	for from := range min(2, len(text)) {
		// Where it stops being that, what was read so far is returned.
		decoded, _ := hex.AppendDecode(append(all, 0), wholeUnits(text[from:], 2))
		all = longer(all, decoded)
	}
	for _, alphabet := range [...]*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for from := range min(4, len(text)) {
			decoded, _ := alphabet.AppendDecode(append(all, 0), wholeUnits(text[from:], 4))
			all = longer(all, decoded)
		}
	}
	return all
}

// wholeUnits is text without what is left over of units that stand by themselves.
func wholeUnits(text []byte, unit int) []byte { return text[:len(text)/unit*unit] }

// longer is after where it tells more than before, which it begins with.
func longer(before, after []byte) []byte {
	if len(after)-len(before) <= tellingRun { // one of them is the zero byte
		return before
	}
	return after
}

const notBase64 = 0xff

// base64Values are the values of the characters of base64 for URLs, notBase64 for others.
var base64Values = func() (values [256]byte) {
	for i := range values {
		values[i] = notBase64
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		values[c] = byte(i)
	}
	return values
}()
