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
	}
	return checked(string(unquoted(text)))
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
