package bulk_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk"
)

// resultsOf returns lines with the results. A line without a result is a duplicate of line 1.
func resultsOf(results ...bulk.Result) []bulk.Line {
	lines := make([]bulk.Line, len(results))
	for i, result := range results {
		lines[i] = bulk.Line{Number: int64(i + 1), Result: result}
		if result == duplicate {
			lines[i].First = &lines[0]
		}
	}
	return lines
}

var (
	duplicate = bulk.Result{}
	lost      = bulk.Result{Outcome: bulk.Unknown, Why: "UNAVAILABLE"}
	refused   = bulk.Result{Outcome: bulk.NotApplied, Why: "OVERLOADED"}
	broken    = bulk.Result{Outcome: bulk.NoToken, Why: `has no member "token"`}
)

func about() bulk.About {
	begun := time.Date(2026, 11, 24, 3, 12, 10, 0, time.UTC)
	return bulk.About{
		Complete: true, List: "tokens", Server: "quash:9090", Consistency: "local_region",
		StartedAt: begun, EndedAt: begun.Add(90 * time.Second),
	}
}

func TestReportForPeople(t *testing.T) {
	t.Parallel()
	const alreadyInvalidAlso = "ALREADY_INVALID: SlashID gives this answer for tokens that are revoked or expired, and for tokens of another environment"
	far := about()
	far.Consistency = bulk.AllRegions
	cut := about()
	cut.Complete, cut.WhyIncomplete, cut.ReadToLine, cut.Resumed = false, "the run was interrupted", 2, true
	for name, c := range map[string]struct {
		about bulk.About
		lines []bulk.Result
		want  string
	}{
		"nothing": {about(), nil, "0 lines of tokens, through quash:9090, consistency local_region, in 1m30s\nThe list has no tokens.\n"},
		"one":     {about(), []bulk.Result{dead}, "1 line of tokens, through quash:9090, consistency local_region, in 1m30s\n  dead  1  REVOKED  line 1\nAll tokens are dead.\n"},
		"every kind": {
			about(),
			[]bulk.Result{dead, dead, deadBefore, isRejected, duplicate, isInProgress, lost, refused, broken, notAsked, dead},
			"11 lines of tokens, through quash:9090, consistency local_region, in 1m30s\n" +
				"  not applied  1  OVERLOADED             line 8\n" +
				"  not asked    1                         line 10\n" +
				"  no token     1  has no member \"token\"  line 9\n" +
				"  unknown      1  UNAVAILABLE            line 7\n" +
				"  in progress  1  CONSISTENCY_TIMEOUT    line 6\n" +
				"  rejected     1  TOKEN_REJECTED         line 4\n" +
				"  dead         4  REVOKED                lines 1-2, 5, 11\n" +
				"  dead         1  ALREADY_INVALID        line 3\n" +
				alreadyInvalidAlso + ".\n" +
				"5 lines certainly dead; 6 lines not dead, or not known to be.\n",
		},
		"a duplicate of what is not dead": {
			about(),
			[]bulk.Result{lost, dead, duplicate},
			"3 lines of tokens, through quash:9090, consistency local_region, in 1m30s\n" +
				"  unknown  2  UNAVAILABLE  lines 1, 3\n  dead     1  REVOKED      line 2\n" +
				"1 line certainly dead; 2 lines not dead, or not known to be.\n",
		},
		"all regions": {
			far,
			[]bulk.Result{deadBefore},
			"1 line of tokens, through quash:9090, consistency all_regions, in 1m30s\n  dead  1  ALREADY_INVALID  line 1\n" +
				alreadyInvalidAlso + "; it does not cover all regions.\nAll tokens are dead.\n",
		},
		"incomplete, though all that was read is dead": {
			cut,
			[]bulk.Result{dead, dead},
			"2 lines of tokens, through quash:9090, consistency local_region, in 1m30s, after an earlier run\n  dead  2  REVOKED  lines 1-2\n" +
				"INCOMPLETE: the run was interrupted. The list was read up to line 2; run the same command again to continue.\n",
		},
		"many ranges": {
			about(),
			slices.Repeat([]bulk.Result{dead, lost}, 20),
			"40 lines of tokens, through quash:9090, consistency local_region, in 1m30s\n" +
				"  unknown  20  UNAVAILABLE  lines 2, 4, 6, 8, 10, 12, 14, 16 and 12 more ranges\n" +
				"  dead     20  REVOKED      lines 1, 3, 5, 7, 9, 11, 13, 15 and 12 more ranges\n" +
				"20 lines certainly dead; 20 lines not dead, or not known to be.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := bulk.NewReport(c.about, resultsOf(c.lines...)).WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReportForPrograms(t *testing.T) {
	t.Parallel()
	about := about()
	about.List = "a \"list\"\n\xff"
	const (
		head    = `{"complete": true, "list": "a \"list\"\n\ufffd", "server": "quash:9090", "consistency": "local_region",`
		running = `"started_at": "2026-11-24T03:12:10Z", "ended_at": "2026-11-24T03:13:40Z", "resumed": false, "read_to_line": 0,`
	)
	for want, lines := range map[string][]bulk.Result{
		head + running + `
			"counts": {"dead": 0, "in_progress": 0, "lines": 0, "no_token": 0, "not_applied": 0, "not_asked": 0, "rejected": 0, "unknown": 0},
			"groups": [], "duplicates": []}`: nil,
		head + running + `
			"counts": {"dead": 5, "in_progress": 1, "lines": 11, "no_token": 1, "not_applied": 1, "not_asked": 1, "rejected": 1, "unknown": 1},
			"groups": [
				{"outcome": "not_applied", "certainly_dead": false, "why": "OVERLOADED", "count": 1, "lines": ["8"]},
				{"outcome": "not_asked", "certainly_dead": false, "count": 1, "lines": ["10"]},
				{"outcome": "no_token", "certainly_dead": false, "why": "has no member \"token\"", "count": 1, "lines": ["9"]},
				{"outcome": "unknown", "certainly_dead": false, "why": "UNAVAILABLE", "count": 1, "lines": ["7"]},
				{"outcome": "in_progress", "certainly_dead": false, "why": "CONSISTENCY_TIMEOUT", "count": 1, "lines": ["6"]},
				{"outcome": "rejected", "certainly_dead": false, "why": "TOKEN_REJECTED", "count": 1, "lines": ["4"]},
				{"outcome": "dead", "certainly_dead": true, "why": "REVOKED", "count": 4, "lines": ["1-2", "5", "11"]},
				{"outcome": "dead", "certainly_dead": true, "why": "ALREADY_INVALID", "count": 1, "lines": ["3"]}
			],
			"duplicates": [{"line": 5, "first": 1}, {"line": 11, "first": 1}]}`: {
			dead, dead, deadBefore, isRejected, duplicate, isInProgress, lost, refused, broken, notAsked, duplicate,
		},
	} {
		path := filepath.Join(t.TempDir(), "report.json")
		if err := bulk.NewReport(about, resultsOf(lines...)).WriteFile(path); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(compacted(t, []byte(want)), compacted(t, read(t, path))); diff != "" {
			t.Error(diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%v, %v", info, err)
		}
	}
}

func compacted(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out.String()
}

// A report that cannot be written leaves nothing behind.
func TestAReportIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := bulk.NewReport(about(), nil).WriteFile(path); err == nil {
		t.Error("a directory was written over")
	}
	if err := bulk.CanWriteFile(path); err == nil {
		t.Error("a directory can be written over")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}
