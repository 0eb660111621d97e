package bulk

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quashdev/quash/internal/bulk/journal"
)

// About is what a report says of the run itself.
type About struct {
	// Complete is whether every line of the list was read, and asked about as often as
	// it was to be. WhyIncomplete says why not, in a sentence without a full stop.
	Complete      bool   `json:"complete"`
	WhyIncomplete string `json:"why_incomplete,omitempty"`
	// List is the file with the tokens, - for standard input, Server where they were
	// sent to, and Consistency what was asked for.
	List        string `json:"list"`
	Server      string `json:"server"`
	Consistency string `json:"consistency"`
	// StartedAt and EndedAt are those of the last run; Resumed is whether there was one
	// before it.
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Resumed   bool      `json:"resumed"`
	// ReadToLine is the last line that the last run read.
	ReadToLine int64 `json:"read_to_line"`
}

// AllRegions is the Consistency that stands for all of them.
const AllRegions = "all_regions"

// Report is what became of a list: of each line whether its token is dead, in as little
// memory for many lines as for few.
type Report struct {
	About

	results Results
	groups  []*tally
}

// NewReport counts what the journal has. The results must not change any more.
func NewReport(about About, results Results) (*Report, error) {
	groups, err := tallies(results)
	return &Report{about, results, groups}, err
}

// Count is how many lines ended as one of the kinds.
func (r *Report) Count(kinds ...Kind) (n int64) {
	for _, t := range r.groups {
		for _, k := range kinds {
			if t.Kind == k {
				n += t.count
			}
		}
	}
	return n
}

// Lines is how many lines there are, but for empty ones.
func (r *Report) Lines() int64 { return r.Count(kinds...) }

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s of %s, through %s, consistency %s, in %s", plural(r.Lines(), "line"), r.List, r.Server, r.Consistency,
		r.EndedAt.Sub(r.StartedAt).Round(time.Second))
	if r.Resumed {
		out.WriteString(", after an earlier run")
	}
	out.WriteString("\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	var rows strings.Builder
	for _, t := range r.groups {
		fmt.Fprintf(&rows, "  %s\t%d\t%s\t%s\n", t.Kind.label(), t.count, t.Why, t.lines())
	}
	_, _ = io.WriteString(table, rows.String())
	_ = table.Flush() // a strings.Builder takes everything
	out.WriteString(r.conclusion())
	_, err := io.WriteString(w, out.String())
	return err
}

// conclusion is what whoever reads one line only is to know.
func (r *Report) conclusion() string {
	dead := r.Count(Dead)
	switch left := r.Lines() - dead; {
	case !r.Complete:
		return fmt.Sprintf("INCOMPLETE: %s. The list was read up to line %d; the same command goes on with it.\n", r.WhyIncomplete, r.ReadToLine)
	case r.Lines() == 0:
		return "The list has no tokens.\n"
	case left == 0:
		return r.caveat() + "All tokens are dead.\n"
	default:
		return r.caveat() + fmt.Sprintf("%s certainly dead; %s not, or not known to be.\n", plural(dead, "line"), plural(left, "line"))
	}
}

// caveat is on what "dead" rests for tokens that SlashID calls invalid.
func (r *Report) caveat() string {
	alreadyInvalid := groupOf(journal.Result{Verdict: journal.AlreadyInvalid})
	if !slices.ContainsFunc(r.groups, func(t *tally) bool { return t.group == alreadyInvalid }) {
		return ""
	}
	text := "ALREADY_INVALID: SlashID says so of tokens that are revoked or expired, and of those of another environment"
	if r.Consistency == AllRegions {
		text += "; it does not say so for all regions"
	}
	return text + ".\n"
}

// plural is n things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// counts are the numbers of lines, in JSON. Duplicates are among the others too.
type counts struct {
	Lines      int64 `json:"lines"`
	Dead       int64 `json:"dead"`
	Rejected   int64 `json:"rejected"`
	InProgress int64 `json:"in_progress"`
	Unknown    int64 `json:"unknown"`
	NotApplied int64 `json:"not_applied"`
	NotAsked   int64 `json:"not_asked"`
	NoToken    int64 `json:"no_token"`
}

func (r *Report) counts() counts {
	return counts{
		Lines: r.Lines(), Dead: r.Count(Dead), Rejected: r.Count(Rejected), InProgress: r.Count(InProgress),
		Unknown: r.Count(Unknown), NotApplied: r.Count(NotApplied), NotAsked: r.Count(NotAsked), NoToken: r.Count(NoToken),
	}
}

// WriteJSON writes the report as one object, with every line. The lines are written as
// they are read, once for each group.
func (r *Report) WriteJSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	head, err := json.MarshalIndent(struct {
		About

		Counts counts `json:"counts"`
	}{r.About, r.counts()}, "", "  ")
	if err != nil {
		return err
	}
	// The rest of the object is too long to be marshalled.
	_, _ = out.Write(head[:len(head)-len("\n}")])
	_, _ = out.WriteString(",\n  \"groups\": [")
	for i, t := range r.groups {
		if err := r.writeGroup(out, t, i == 0); err != nil {
			return err
		}
	}
	_, _ = out.WriteString("\n  ],\n  \"duplicates\": [")
	if err := r.writeDuplicates(out); err != nil {
		return err
	}
	_, _ = out.WriteString("]\n}\n")
	return out.Flush()
}

func (r *Report) writeGroup(out *bufio.Writer, t *tally, first bool) (err error) {
	head, err := json.Marshal(struct {
		Outcome Kind   `json:"outcome"`
		Dead    bool   `json:"certainly_dead"`
		Why     string `json:"why,omitempty"`
		Count   int64  `json:"count"`
	}{t.Kind, t.Kind == Dead, t.Why, t.count})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s\n    %s, \"lines\": [", separator(first), head[:len(head)-len("}")])
	first = true
	for s := range spans(r.results, t.group, &err) {
		_, _ = fmt.Fprintf(out, "%s\"%s\"", separator(first), s)
		first = false
	}
	_, _ = out.WriteString("]}")
	return err
}

func (r *Report) writeDuplicates(out *bufio.Writer) error {
	first := true
	for line, result := range r.results.Results() {
		if result.Verdict == journal.Duplicate {
			_, _ = fmt.Fprintf(out, "%s\n    {\"line\": %d, \"first\": %d}", separator(first), line, result.First)
			first = false
		}
	}
	return r.results.Err()
}

func separator(first bool) string {
	if first {
		return ""
	}
	return ","
}

// WriteFile writes the report as JSON to a file that only its owner can read, all of it
// or nothing.
func (r *Report) WriteFile(path string) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".quash-report-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	if err := errors.Join(r.WriteJSON(temp), temp.Sync()); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// CanWriteFile returns why WriteFile would not be able to write there.
func CanWriteFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".quash-report-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
