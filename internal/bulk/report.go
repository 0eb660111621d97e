package bulk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// About describes the run in a report.
type About struct {
	// Complete reports whether every line of the list was read, and sent as often as
	// necessary. WhyIncomplete says why not, in a sentence without a full stop.
	Complete      bool   `json:"complete"`
	WhyIncomplete string `json:"why_incomplete,omitempty"`
	// List is the file with the tokens, or - for standard input. Server is the address of
	// quash. Consistency is the requested consistency.
	List        string `json:"list"`
	Server      string `json:"server"`
	Consistency string `json:"consistency"`
	// StartedAt and EndedAt are the times of the last run. Resumed reports whether there
	// was an earlier run.
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Resumed   bool      `json:"resumed"`
	// ReadToLine is the number of the last line that the last run read.
	ReadToLine int64 `json:"read_to_line"`
}

// AllRegions is the Consistency for all regions.
const AllRegions = "all_regions"

// Report has the result of every line of a list. A duplicate has the result of the first line
// with the same token.
type Report struct {
	About

	// Counts has the number of lines by outcome, and of all lines as "lines".
	Counts     map[string]int `json:"counts"`
	Groups     []*group       `json:"groups"`
	Duplicates []duplicate    `json:"duplicates"`
}

// group has the lines with the same result.
type group struct {
	Outcome Outcome `json:"outcome"`
	Dead    bool    `json:"certainly_dead"`
	Why     string  `json:"why,omitempty"`
	Count   int     `json:"count"`
	Lines   []span  `json:"lines"`
}

type duplicate struct {
	Line  int64 `json:"line"`
	First int64 `json:"first"`
}

// span is a range of lines. Its JSON is a string such as "7" or "7-9".
type span struct{ from, to int64 }

func (s span) String() string {
	if s.from == s.to {
		return strconv.FormatInt(s.from, 10)
	}
	return fmt.Sprintf("%d-%d", s.from, s.to)
}

// MarshalText implements encoding.TextMarshaler.
func (s span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// NewReport returns the report of a run that has ended.
func NewReport(about About, lines []Line) *Report {
	r := &Report{About: about, Counts: map[string]int{"lines": len(lines)}, Groups: []*group{}, Duplicates: []duplicate{}}
	for _, outcome := range outcomes {
		r.Counts[string(outcome)] = 0
	}
	groups := map[Result]*group{}
	for i := range lines {
		line := &lines[i]
		if line.First != nil {
			r.Duplicates = append(r.Duplicates, duplicate{line.Number, line.First.Number})
		}
		result := line.result()
		r.Counts[string(result.Outcome)]++
		g := groups[result]
		if g == nil {
			g = &group{Outcome: result.Outcome, Dead: result.Outcome == Dead, Why: result.Why}
			groups[result] = g
			r.Groups = append(r.Groups, g)
		}
		g.add(line.Number)
	}
	slices.SortFunc(r.Groups, func(a, b *group) int {
		return cmp.Or(
			cmp.Compare(slices.Index(outcomes, a.Outcome), slices.Index(outcomes, b.Outcome)),
			cmp.Compare(b.Count, a.Count),
			cmp.Compare(a.Why, b.Why),
		)
	})
	return r
}

func (g *group) add(line int64) {
	g.Count++
	if last := len(g.Lines) - 1; last >= 0 && g.Lines[last].to+1 == line {
		g.Lines[last].to = line
	} else {
		g.Lines = append(g.Lines, span{line, line})
	}
}

// Count returns the number of lines with an outcome.
func (r *Report) Count(outcome Outcome) int { return r.Counts[string(outcome)] }

// Lines returns the number of lines, without empty lines.
func (r *Report) Lines() int { return r.Counts["lines"] }

// WriteText writes the report as text.
func (r *Report) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s of %s, through %s, consistency %s, in %s", plural(r.Lines(), "line"), r.List, r.Server, r.Consistency,
		r.EndedAt.Sub(r.StartedAt).Round(time.Second))
	if r.Resumed {
		out.WriteString(", after an earlier run")
	}
	out.WriteString("\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, g := range r.Groups {
		_, _ = fmt.Fprintf(table, "  %s\t%d\t%s\t%s\n", g.Outcome.label(), g.Count, g.Why, g.lines())
	}
	_ = table.Flush() // writing to a strings.Builder cannot fail
	out.WriteString(r.conclusion())
	_, err := io.WriteString(w, out.String())
	return err
}

// shownSpans is the maximum number of ranges of a group in the text report.
const shownSpans = 8

func (g *group) lines() string {
	shown := g.Lines[:min(shownSpans, len(g.Lines))]
	texts := make([]string, len(shown))
	for i, s := range shown {
		texts[i] = s.String()
	}
	text := "lines "
	if g.Count == 1 {
		text = "line "
	}
	text += strings.Join(texts, ", ")
	if more := len(g.Lines) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more ranges", more)
	}
	return text
}

// conclusion returns the last line of the text report, which sums it up.
func (r *Report) conclusion() string {
	dead := r.Count(Dead)
	switch left := r.Lines() - dead; {
	case !r.Complete:
		return fmt.Sprintf("INCOMPLETE: %s. The list was read up to line %d; run the same command again to continue.\n", r.WhyIncomplete, r.ReadToLine)
	case r.Lines() == 0:
		return "The list has no tokens.\n"
	case left == 0:
		return r.caveat() + "All tokens are dead.\n"
	default:
		return r.caveat() + fmt.Sprintf("%s certainly dead; %s not dead, or not known to be.\n", plural(dead, "line"), plural(left, "line"))
	}
}

// caveat explains what "dead" means for tokens that SlashID reports as invalid.
func (r *Report) caveat() string {
	if !slices.ContainsFunc(r.Groups, func(g *group) bool { return g.Dead && g.Why == alreadyInvalid }) {
		return ""
	}
	text := "ALREADY_INVALID: SlashID gives this answer for tokens that are revoked or expired, and for tokens of another environment"
	if r.Consistency == AllRegions {
		text += "; it does not cover all regions"
	}
	return text + ".\n"
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// WriteJSON writes the report as one JSON object, with every line.
func (r *Report) WriteJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

// tempPattern is the name of a report until it is complete.
const tempPattern = ".quash-report-*"

// WriteFile writes the report as JSON to a file that only its owner can read. If it fails, the
// file is unchanged.
func (r *Report) WriteFile(path string) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	if err := errors.Join(r.WriteJSON(temp), temp.Sync(), temp.Close()); err != nil {
		_ = os.Remove(temp.Name())
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		_ = os.Remove(temp.Name())
		return err
	}
	return nil
}

// CanWriteFile returns an error if WriteFile could not write to path.
func CanWriteFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
