package tokenlist

// Problem is why a line has no token to revoke, in words that need no more than the
// line's number to be understood. It has nothing of the line. "" is none.
type Problem string

// These are all the problems that there are. What is written to disk is their number in
// problems, so new ones go to the end of that.
const (
	TooLong         Problem = "is longer than any token"
	NoTokenChars    Problem = "has characters that no token has"
	BadJSON         Problem = "begins like an object of JSON and is none"
	NoTokenMember   Problem = `has no member "token"`
	TwoTokenMembers Problem = `has the member "token" more than once`
	TokenNoString   Problem = `has a member "token" that is no string`
	EmptyToken      Problem = "has an empty token"
	WrapBegins      Problem = "looks like the beginning of a token that was wrapped, and goes on in the next line"
	WrapGoesOn      Problem = "looks like a further part of a token that was wrapped, and begins in a line before"
)
