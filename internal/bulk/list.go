package bulk

import (
	"time"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Line is a line of the list, and what is known of its token.
type Line struct {
	// Number counts all lines of the list from 1, empty ones too.
	Number int64
	// Token is "" where Result says that the line has none.
	Token string
	// First is the first line with the same token; nil if this is the first. The token is
	// sent for that line, and its result holds here.
	First *Line
	// Result is what became of the token so far, as far as First does not say it.
	Result Result

	failures int       // answers in this run that say neither yes nor no
	due      time.Time // when it is sent again
}

// NewLines returns the lines of a list to which nothing has been done.
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

// LastLine is the number of the last line, 0 for an empty list.
func LastLine(lines []Line) int64 {
	if len(lines) == 0 {
		return 0
	}
	return lines[len(lines)-1].Number
}

// result is what became of the line's token.
func (l *Line) result() Result {
	if l.First != nil {
		return l.First.Result
	}
	return l.Result
}
