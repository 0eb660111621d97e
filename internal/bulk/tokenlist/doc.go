// Package tokenlist reads lists of tokens, of any length, in little memory.
//
//	reader.go    lines, one after the other
//	problem.go   why a line has no token to revoke
//
// A list is UTF-8 text with a token a line, or with an object of JSON a line whose
// member "token" is the token; both kinds may be mixed. Empty lines are skipped, and so
// are spaces around a line, a pair of quotes around a token, the carriage returns of
// Windows and a byte order mark.
package tokenlist
