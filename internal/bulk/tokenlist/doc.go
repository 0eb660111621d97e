// Package tokenlist reads lists of tokens, of any length, in little memory.
//
//	reader.go    lines, one after the other
//	token.go     what of a line is its token
//	object.go    the same of a line that is an object of JSON
//	wrapping.go  tokens that were wrapped over several lines
//	problem.go   why a line has no token to revoke
//
// A list is UTF-8 text with a token a line, or an object of JSON a line whose member
// "token" is the token, or some of both. Empty lines are skipped. So are spaces around a
// line, a pair of quotes around a token, carriage returns before the end of a line, and
// byte order marks.
package tokenlist
