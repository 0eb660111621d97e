package secrettest

import (
	"crypto/md5"  //nolint:gosec // to be found, not to be used
	"crypto/sha1" //nolint:gosec // to be found, not to be used
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// A form is a way to encode bytes. Letters may be of either case, and base64 of either
// alphabet: comparing ignores that.
type form struct {
	name string
	// write encodes bytes. The results are several if they depend on what precedes the
	// bytes.
	write func(bytes string) []string
	// least is how many characters in a row of the result give away TellingRun bytes.
	least int
}

// textForms are for printable secrets.
var textForms = []form{
	{"as it is", once(func(s string) string { return s }), TellingRun},
	{"escaped for a URL", escaped, TellingRun},
	{"quoted for JSON", once(inJSON), TellingRun},
	{"quoted for Go", once(func(s string) string { return unquoted(strconv.Quote(s)) }), TellingRun},
	{"escaped for HTML", once(html.EscapeString), TellingRun},
}

// byteForms are for all secrets.
var byteForms = []form{
	{"in base64", alignments, 15}, // that of 12 bytes has 15 characters to which others add nothing
	eachByte("in hex", "%02x", ""),
	eachByte("in hex, apart", "%02x", " "),
	eachByte("in hex, with colons", "%02x", ":"),
	eachByte("in hex, each with 0x", "0x%02x", " "),
	eachByte("as Go writes bytes", "0x%02x", ", "),
	eachByte("in decimal", "%d", " "),
	eachByte("in decimal, with commas", "%d", ","),
	eachByte("in decimal, with commas and spaces", "%d", ", "),
	eachByte("percent-encoded", "%%%02x", ""),
	eachByte("in escapes of JSON", `\u%04x`, ""),
	eachByte("in escapes of Go", `\x%02x`, ""),
	eachByte("in octal escapes", `\%03o`, ""),
}

// digestForms are for digests, whole or cut short.
var digestForms = []form{
	byteForms[0],
	{"in hex", once(func(s string) string { return hex.EncodeToString([]byte(s)) }), 16},
	{"in hex, cut short", once(func(s string) string { return hex.EncodeToString([]byte(s[:6])) }), 12},
	eachByte("in decimal", "%d", " "),
}

// digests are hashes that may be mistaken for anonymous.
var digests = []struct {
	name string
	sum  func(text []byte) []byte
}{
	{"MD5", func(text []byte) []byte { d := md5.Sum(text); return d[:] }},    //nolint:gosec // to be found
	{"SHA-1", func(text []byte) []byte { d := sha1.Sum(text); return d[:] }}, //nolint:gosec // to be found
	{"SHA-256", func(text []byte) []byte { d := sha256.Sum256(text); return d[:] }},
	{"SHA-512", func(text []byte) []byte { d := sha512.Sum512(text); return d[:] }},
}

func once(write func(string) string) func(string) []string {
	return func(s string) []string { return []string{write(s)} }
}

func escaped(s string) []string { return []string{url.QueryEscape(s), url.PathEscape(s)} }

func inJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // no string leads here
	}
	return unquoted(string(quoted))
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// alignments are the three ways in which base64 can fall on bytes in the middle of
// others, without the characters that depend on what stands before.
func alignments(s string) []string {
	all := make([]string, 3)
	for before, shared := range []int{0, 2, 3} {
		all[before] = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + s))[shared:]
	}
	return all
}

// eachByte writes every byte in the same way.
func eachByte(name, format, separator string) form {
	var texts [256]string
	for b := range texts {
		texts[b] = fmt.Sprintf(format, b)
	}
	write := func(s string) []string {
		var b strings.Builder
		for i := range len(s) {
			if i > 0 {
				b.WriteString(separator)
			}
			b.WriteString(texts[s[i]])
		}
		return []string{b.String()}
	}
	// The shortest that a byte of a text can be: in decimal it has two digits.
	unit := len(texts[' ']) + len(separator)
	return form{name, write, TellingRun*unit - len(separator)}
}
