package tokenlist

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxToken is the longest token that quash takes, in bytes.
const maxToken = 16 << 10

// Problem is why a line has no token to revoke: words to put after the line's number,
// which have nothing of the line. "" is none.
type Problem string

// The problems that there are.
const (
	TooLong       Problem = "is longer than any token"
	NoTokenChars  Problem = "has characters that no token has"
	BadJSON       Problem = "starts like a JSON object, but is not one"
	NoTokenMember Problem = `has no member "token"`
	TokenNoString Problem = `has a member "token" that is not a string`
	EmptyToken    Problem = "has an empty token"
	WrapBegins    Problem = "looks like the start of a wrapped token that continues in the next line"
	WrapGoesOn    Problem = "looks like part of a wrapped token that starts in a line before"
	JSONPart      Problem = "looks like part of a JSON document: write one token per line, as jq -r does"
	BearerPrefix  Problem = `starts with "Bearer": keep only the token`
)

// parse returns the token of a line, or why it has none; neither for an empty line.
func parse(text []byte) (string, Problem) {
	text = trim(text)
	switch {
	case len(text) == 0:
		return "", ""
	case text[0] == '{':
		return parseObject(text)
	case isJSONPart(text):
		return "", JSONPart
	case len(text) > len("Bearer ") && bytes.EqualFold(text[:len("Bearer ")], []byte("Bearer ")):
		return "", BearerPrefix
	}
	return checked(string(unquoted(text)))
}

// trim removes white space, and a byte order mark: lists are joined from others, so one
// may stand before any line.
func trim(text []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
}

// isJSONPart reports whether a line looks like one of an array, or of an object over
// several lines.
func isJSONPart(text []byte) bool {
	switch text[0] {
	case '[', ']', '}':
		return true
	case '"':
		return text[len(text)-1] == ',' || bytes.Contains(text, []byte(`":`))
	}
	return false
}

// tooLong is the problem of a line of which text is the beginning.
func tooLong(text []byte) Problem {
	if bytes.HasPrefix(trim(text), []byte("[")) {
		return JSONPart
	}
	return TooLong
}

// checked returns the token if it is one that quash takes.
func checked(token string) (string, Problem) {
	switch {
	case token == "":
		return "", EmptyToken
	case len(token) > maxToken:
		return "", TooLong
	case strings.ContainsFunc(token, func(r rune) bool { return !isTokenChar(r) }):
		return "", NoTokenChars
	}
	return token, ""
}

func isTokenChar(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// unquoted removes one pair of quotes.
func unquoted(text []byte) []byte {
	last := len(text) - 1
	if last > 0 && text[0] == text[last] && (text[0] == '"' || text[0] == '\'') {
		return text[1:last]
	}
	return text
}

// parseObject returns the token of a line that begins like a JSON object. A map has names
// as they are written: decoding into a struct would take a member "Token" too.
func parseObject(text []byte) (string, Problem) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return "", BadJSON
	}
	member, ok := members["token"]
	if !ok {
		return "", NoTokenMember
	}
	var token *string
	if err := json.Unmarshal(member, &token); err != nil || token == nil {
		return "", TokenNoString
	}
	return checked(*token)
}
