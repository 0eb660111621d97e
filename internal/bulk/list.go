package bulk

import (
	"time"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Line is a line of the list, with the result of its token.
type Line struct {
	// Number counts all lines of the list from 1, empty ones too.
	Number int64
	// Token is "" if the line has no token. Then Result says why.
	Token string
	// First is the first line with the same token; nil if this is the first one. The token
	// is sent for that line only, and its result applies to this one.
	First *Line
	// Result is the result of the token so far. It is unused if First is set.
	Result Result

	failures int       // answers in this run that did not decide the outcome
	due      time.Time // when the token is sent again
}

// NewLines returns the lines of a list before any run.
func NewLines(list []tokenlist.Line) []Line {
	lines := make([]Line, len(list))
	first := make(map[string]*Line, len(list))
	for i, read := range list {
		line := &lines[i]
		*line = Line{Number: read.Number, Token: read.Token, Result: Result{Outcome: NotAsked}}
		if read.Problem != "" {
			line.Result = Result{NoToken, string(read.Problem)}
			continue
		}
		if line.First = first[read.Token]; line.First == nil {
			first[read.Token] = line
		}
	}
	return lines
}

// LastLine returns the number of the last line; 0 for an empty list.
func LastLine(lines []Line) int64 {
	if len(lines) == 0 {
		return 0
	}
	return lines[len(lines)-1].Number
}

// result returns the result of the line's token.
func (l *Line) result() Result {
	if l.First != nil {
		return l.First.Result
	}
	return l.Result
}
