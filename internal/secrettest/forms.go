package secrettest

import (
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
	// write encodes bytes. It returns several results if the encoding depends on the
	// preceding bytes.
	write func(bytes string) []string
	// minRun is the number of consecutive characters of the result that reveal LeakLen bytes.
	minRun int
}

// textForms are the forms of printable secrets.
var textForms = []form{
	{"unencoded", func(s string) []string { return []string{s} }, LeakLen},
	{"escaped for a URL", func(s string) []string { return []string{url.QueryEscape(s), url.PathEscape(s)} }, LeakLen},
	{"quoted for JSON", inJSON, LeakLen},
	{"quoted for Go", func(s string) []string { return []string{strings.Trim(strconv.Quote(s), `"`)} }, LeakLen},
	{"escaped for HTML", func(s string) []string { return []string{html.EscapeString(s)} }, LeakLen},
}

// byteForms are the forms of all secrets.
var byteForms = []form{
	{"in base64", inBase64, 15}, // 12 bytes fix 15 characters, whatever the neighbouring bytes are
	{"in hex", inHex, 2 * LeakLen},
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

func inHex(s string) []string { return []string{hex.EncodeToString([]byte(s))} }

func inJSON(s string) []string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings can always be marshaled
	}
	return []string{string(quoted[1 : len(quoted)-1])}
}

// inBase64 returns the base64 of s at each of the three alignments that s can have inside other
// bytes, without the characters that depend on the bytes before s.
func inBase64(s string) []string {
	all := make([]string, 3)
	for before, shared := range []int{0, 2, 3} {
		all[before] = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + s))[shared:]
	}
	return all
}

// eachByte returns a form that writes each byte with format.
func eachByte(name, format, separator string) form {
	write := func(s string) []string {
		parts := make([]string, len(s))
		for i := range len(s) {
			parts[i] = fmt.Sprintf(format, s[i])
		}
		return []string{strings.Join(parts, separator)}
	}
	// A space is one of the shortest bytes of a text: two digits in decimal.
	return form{name, write, len(write(strings.Repeat(" ", LeakLen))[0])}
}
