// Package tokenlist reads lists of tokens.
//
//	reader.go    the lines of a list
//	token.go     the token of a line, or why it has none
//	wrapping.go  tokens that were wrapped over several lines
//
// A list is UTF-8 text with a token a line, or a JSON object a line whose member "token"
// is the token, or some of both. Empty lines are skipped. So are spaces around a line, a
// pair of quotes around a token, carriage returns before the end of a line, and byte
// order marks.
package tokenlist
