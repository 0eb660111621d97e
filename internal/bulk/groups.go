package bulk

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/quashdev/quash/internal/bulk/journal"
)

// Results is what a report is made of, journal.Journal for instance.
type Results interface {
	// Results yields every line that is not empty, in their order; when it ends early,
	// Err says why.
	Results() iter.Seq2[int64, journal.Result]
	Err() error
	// Result is that of one line.
	Result(line int64) (journal.Result, error)
}

// Kind is what a line ended as, in the words of reports.
type Kind string

// These are all the kinds, those first that somebody has to do something about.
const (
	NotApplied Kind = "not_applied" // surely nothing was done
	NotAsked   Kind = "not_asked"   // nothing was sent yet
	NoToken    Kind = "no_token"    // the line has none
	Unknown    Kind = "unknown"     // nobody knows
	InProgress Kind = "in_progress" // SlashID has accepted it, and goes on
	Rejected   Kind = "rejected"    // SlashID does not take it for a valid token
	Dead       Kind = "dead"        // surely cannot be used any more
)

// kinds are in the order of reports.
var kinds = []Kind{NotApplied, NotAsked, NoToken, Unknown, InProgress, Rejected, Dead}

// label is the kind for people.
func (k Kind) label() string { return strings.ReplaceAll(string(k), "_", " ") }

// group is the lines that ended alike. There are few groups, however many lines.
type group struct {
	Kind Kind
	// Why is what made them so: REVOKED or ALREADY_INVALID for those that are dead, the
	// problem of those that have no token, or the error's reason.
	Why string
}

// groupOf is the group of a line that is no duplicate.
func groupOf(r journal.Result) group {
	switch r.Verdict {
	case journal.Revoked:
		return group{Dead, "REVOKED"}
	case journal.AlreadyInvalid:
		return group{Dead, "ALREADY_INVALID"}
	case journal.Rejected:
		return group{Rejected, cause(r.Reason, r.Code)}
	case journal.InProgress:
		return group{InProgress, cause(r.Reason, r.Code)}
	case journal.Unknown:
		return group{Unknown, cause(r.Reason, r.Code)}
	case journal.NotApplied:
		return group{NotApplied, cause(r.Reason, r.Code)}
	case journal.Problem:
		return group{NoToken, string(r.Problem)}
	case journal.Pending, journal.Duplicate, journal.Empty:
	}
	return group{Kind: NotAsked}
}

// byGroup yields each line with its group, that of the first line with its token for a
// duplicate. It ends at an error, which it hands to failed.
func byGroup(results Results, failed *error) iter.Seq2[int64, group] {
	return func(yield func(int64, group) bool) {
		for line, r := range results.Results() {
			if r.Verdict == journal.Duplicate {
				if r, *failed = results.Result(r.First); *failed != nil {
					return
				}
			}
			if !yield(line, groupOf(r)) {
				return
			}
		}
		*failed = results.Err()
	}
}

// shownRanges is how many ranges of lines people are shown of a group.
const shownRanges = 8

// tally is how many lines a group has, and which the first are.
type tally struct {
	group

	count  int64
	ranges int64  // how many there are
	first  []span // the first of them
	last   span   // the one that may still grow
}

func (t *tally) add(line int64) {
	t.count++
	if t.count > 1 && t.last.to+1 == line {
		t.last.to = line
		if t.ranges <= shownRanges {
			t.first[len(t.first)-1] = t.last
		}
		return
	}
	t.last = span{line, line}
	if t.ranges++; t.ranges <= shownRanges {
		t.first = append(t.first, t.last)
	}
}

// lines is the first ranges in words.
func (t *tally) lines() string {
	texts := make([]string, len(t.first))
	for i, s := range t.first {
		texts[i] = s.String()
	}
	text := "lines "
	if t.count == 1 {
		text = "line "
	}
	text += strings.Join(texts, ", ")
	if more := t.ranges - int64(len(t.first)); more > 0 {
		text += fmt.Sprintf(" and %d more ranges", more)
	}
	return text
}

// span is lines one after the other.
type span struct{ from, to int64 }

func (s span) String() string {
	if s.from == s.to {
		return strconv.FormatInt(s.from, 10)
	}
	return fmt.Sprintf("%d-%d", s.from, s.to)
}

// tallies counts the lines of each group, in the order of reports, and the duplicates
// among all of them.
func tallies(results Results) (groups []*tally, err error) {
	byKey := map[group]*tally{}
	for line, g := range byGroup(results, &err) {
		t := byKey[g]
		if t == nil {
			t = &tally{group: g}
			byKey[g] = t
			groups = append(groups, t)
		}
		t.add(line)
	}
	slices.SortFunc(groups, func(a, b *tally) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)),
			cmp.Compare(b.count, a.count),
			cmp.Compare(a.Why, b.Why),
		)
	})
	return groups, err
}

// spans yields the ranges of lines of a group.
func spans(results Results, of group, failed *error) iter.Seq[span] {
	return func(yield func(span) bool) {
		var open span
		for line, g := range byGroup(results, failed) {
			if g != of {
				continue
			}
			if open.to+1 == line && open.to > 0 {
				open.to = line
				continue
			}
			if open.to > 0 && !yield(open) {
				return
			}
			open = span{line, line}
		}
		if *failed == nil && open.to > 0 {
			yield(open)
		}
	}
}
