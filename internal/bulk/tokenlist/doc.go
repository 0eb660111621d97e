// Package tokenlist reads lists of tokens.
//
//	reader.go    the lines of a list
//	token.go     the token of a line, or the reason why it has no token
//	wrapping.go  detection of tokens that are wrapped over several lines
//
// A list is UTF-8 text. Each line is a token, or a JSON object whose member "token" is the
// token. Ignored are empty lines, spaces around a line, a pair of quotes around a token,
// carriage returns before the end of a line, and byte order marks.
package tokenlist
