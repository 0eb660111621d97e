package tokenlist

import "slices"

// Problem is why a line has no token to revoke: words to put after the line's number,
// which have nothing of the line. "" is none.
type Problem string

// The problems that there are.
const (
	TooLong         Problem = "is longer than any token"
	NoTokenChars    Problem = "has characters that no token has"
	BadJSON         Problem = "begins like an object of JSON, and is not one"
	NoTokenMember   Problem = `has no member "token"`
	TwoTokenMembers Problem = `has more than one member "token"`
	TokenNoString   Problem = `has a member "token" that is not a string`
	EmptyToken      Problem = "has an empty token"
	WrapBegins      Problem = "looks like the beginning of a token that was wrapped, and goes on in the next line"
	WrapGoesOn      Problem = "looks like a further part of a token that was wrapped, and begins in a line before"
	JSONPart        Problem = "looks like a part of a longer text in JSON: write a token a line, as jq -r does"
	BearerPrefix    Problem = `begins with "Bearer": leave the token only`
)

// numbered are all problems, none too. Files have the numbers, so new ones are added at the end.
var numbered = []Problem{
	"", TooLong, NoTokenChars, BadJSON, NoTokenMember, TwoTokenMembers, TokenNoString, EmptyToken,
	WrapBegins, WrapGoesOn, JSONPart, BearerPrefix,
}

// Number returns a number that stands for the problem in every version, 0 for none.
func (p Problem) Number() uint8 {
	return uint8(max(0, slices.Index(numbered, p))) //nolint:gosec // there are not that many
}

// Numbered returns the problem with a number; none for a number that no problem has.
func Numbered(number uint8) Problem {
	if int(number) >= len(numbered) {
		return ""
	}
	return numbered[number]
}
