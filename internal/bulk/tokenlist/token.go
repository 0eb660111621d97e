package tokenlist

import "bytes"

// maxToken is the longest token that quash takes, in bytes.
const maxToken = 16 << 10

var byteOrderMark = []byte("\uFEFF")

// parse returns the token of a line, or why it has none; neither of an empty one.
// A byte order mark may stand before any line, for lists are made of others.
func parse(text []byte) (string, Problem) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, byteOrderMark))
	switch {
	case len(text) == 0:
		return "", ""
	case text[0] == '{':
		return parseObject(text)
	case isJSONPart(text):
		return "", JSONPart
	case len(text) > len(bearer) && bytes.EqualFold(text[:len(bearer)], bearer):
		return "", BearerPrefix
	}
	return checked(string(unquoted(text)))
}

// bearer is what a token has before it in the header of a request.
var bearer = []byte("Bearer ")

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

// tooLong is what is wrong with a line that is longer than any, of which text is the
// beginning.
func tooLong(text []byte) Problem {
	if bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(text, byteOrderMark)), []byte("[")) {
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
	}
	for i := range len(token) {
		if !tokenCharacters[token[i]] {
			return "", NoTokenChars
		}
	}
	return token, ""
}

var tokenCharacters = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") {
		is[c] = true
	}
	return is
}()

// unquoted takes one pair of quotes off.
func unquoted(text []byte) []byte {
	last := len(text) - 1
	if last > 0 && text[0] == text[last] && (text[0] == '"' || text[0] == '\'') {
		return text[1:last]
	}
	return text
}
