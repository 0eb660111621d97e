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
	// write encodes bytes. The results are several if they depend on what precedes the
	// bytes.
	write func(bytes string) []string
	// least is how many characters in a row of the result give away TellingRun bytes.
	least int
}

// textForms are for printable secrets.
var textForms = []form{
	{"as it is", func(s string) []string { return []string{s} }, TellingRun},
	{"escaped for a URL", func(s string) []string { return []string{url.QueryEscape(s), url.PathEscape(s)} }, TellingRun},
	{"quoted for JSON", inJSON, TellingRun},
	{"quoted for Go", func(s string) []string { return []string{strings.Trim(strconv.Quote(s), `"`)} }, TellingRun},
	{"escaped for HTML", func(s string) []string { return []string{html.EscapeString(s)} }, TellingRun},
}

// byteForms are for all secrets.
var byteForms = []form{
	{"in base64", inBase64, 15}, // that of 12 bytes has 15 characters to which others add nothing
	{"in hex", inHex, 2 * TellingRun},
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
		panic(err) // no string leads here
	}
	return []string{string(quoted[1 : len(quoted)-1])}
}

// inBase64 writes the three ways in which base64 can fall on bytes in the middle of
// others, without the characters that depend on what stands before.
func inBase64(s string) []string {
	all := make([]string, 3)
	for before, shared := range []int{0, 2, 3} {
		all[before] = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + s))[shared:]
	}
	return all
}

// eachByte writes every byte in the same way.
func eachByte(name, format, separator string) form {
	write := func(s string) []string {
		parts := make([]string, len(s))
		for i := range len(s) {
			parts[i] = fmt.Sprintf(format, s[i])
		}
		return []string{strings.Join(parts, separator)}
	}
	// The shortest that a byte of a text can be: in decimal it has two digits.
	return form{name, write, len(write(strings.Repeat(" ", TellingRun))[0])}
}
