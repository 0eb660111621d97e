package tokenlist

import (
	"bytes"
	"encoding/json"
	"strings"
)

// maxToken is the maximum length of a token in bytes.
const maxToken = 16 << 10

// Problem is the reason why a line has no token to revoke. Its text follows "line N", and never
// quotes the line. It is "" if there is no problem.
type Problem string

// All problems.
const (
	TooLong       Problem = "is longer than any token"
	NoTokenChars  Problem = "has characters that no token has"
	BadJSON       Problem = "starts like a JSON object, but is not one"
	NoTokenMember Problem = `has no member "token"`
	TokenNoString Problem = `has a member "token" that is not a string`
	EmptyToken    Problem = "has an empty token"
	WrapStarts    Problem = "looks like the start of a wrapped token that continues in the next line"
	WrapContinues Problem = "looks like part of a wrapped token that starts in a line before"
	JSONPart      Problem = "looks like part of a JSON document: write one token per line, as jq -r does"
	BearerPrefix  Problem = `starts with "Bearer": keep only the token`
)

// parse returns the token or the problem of a line. Both are "" for an empty line.
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

// trim removes white space and a byte order mark. If lists were concatenated, a mark can be at
// the start of any line.
func trim(text []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
}

// isJSONPart reports whether a line looks like part of a JSON array, or of a JSON object over
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

// tooLong returns the problem of a line that is too long. text is its beginning.
func tooLong(text []byte) Problem {
	if bytes.HasPrefix(trim(text), []byte("[")) {
		return JSONPart
	}
	return TooLong
}

// checked returns the token if quash accepts it, or else the problem.
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

// parseObject returns the token of a line that starts like a JSON object. It decodes into a map
// to compare the name exactly: decoding into a struct would also accept a member "Token".
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
