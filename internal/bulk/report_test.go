package bulk_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// journalOf is the journal of a list whose lines ended so; those that are Pending have
// not been asked about, and a Duplicate is one of line 1.
func journalOf(t *testing.T, lines ...journal.Result) *journal.Journal {
	t.Helper()
	j := open(t, "")
	for i, r := range lines {
		line := int64(i + 1)
		var err error
		switch r.Verdict {
		case journal.Problem:
			err = j.Problem(line, r.Problem)
		case journal.Duplicate:
			_, err = j.Begin(line, token(0))
		case journal.Pending:
			_, err = j.Begin(line, token(i))
		default:
			if _, err = j.Begin(line, token(i)); err == nil {
				err = j.Record(line, r)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return j
}

var (
	dead      = journal.Result{Verdict: journal.Revoked}
	known     = journal.Result{Verdict: journal.AlreadyInvalid}
	foreign   = journal.Result{Verdict: journal.Rejected, Reason: quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED}
	onItsWay  = journal.Result{Verdict: journal.InProgress, Reason: quashv1.ErrorReason_ERROR_REASON_CONSISTENCY_TIMEOUT}
	lost      = journal.Result{Verdict: journal.Unknown, Code: codes.Unavailable}
	refused   = journal.Result{Verdict: journal.NotApplied, Reason: quashv1.ErrorReason_ERROR_REASON_OVERLOADED}
	broken    = journal.Result{Verdict: journal.Problem, Problem: tokenlist.NoTokenMember}
	duplicate = journal.Result{Verdict: journal.Duplicate}
	unasked   = journal.Result{}
)

func about() bulk.About {
	begun := time.Date(2026, 11, 24, 3, 12, 10, 0, time.UTC)
	return bulk.About{
		Complete: true, List: "tokens", Server: "quash:9090", Consistency: "local_region",
		StartedAt: begun, EndedAt: begun.Add(90 * time.Second),
	}
}

func reportOf(t *testing.T, about bulk.About, lines ...journal.Result) *bulk.Report {
	t.Helper()
	report, err := bulk.NewReport(about, journalOf(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestReportForPeople(t *testing.T) {
	t.Parallel()
	const alreadyInvalidAlso = "ALREADY_INVALID: SlashID says so of tokens that are revoked or expired, and of those of another environment"
	far := about()
	far.Consistency = bulk.AllRegions
	cut := about()
	cut.Complete, cut.WhyIncomplete, cut.ReadToLine, cut.Resumed = false, "it was interrupted", 2, true
	for name, c := range map[string]struct {
		about bulk.About
		lines []journal.Result
		want  string
	}{
		"nothing": {about(), nil, "0 lines of tokens, through quash:9090, consistency local_region, in 1m30s\nThe list has no tokens.\n"},
		"one":     {about(), []journal.Result{dead}, "1 line of tokens, through quash:9090, consistency local_region, in 1m30s\n  dead  1  REVOKED  line 1\nAll tokens are dead.\n"},
		"every kind": {
			about(),
			[]journal.Result{dead, dead, known, foreign, duplicate, onItsWay, lost, refused, broken, unasked, dead},
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
				"5 lines certainly dead; 6 lines not, or not known to be.\n",
		},
		"a duplicate of what is not dead": {
			about(),
			[]journal.Result{lost, dead, duplicate},
			"3 lines of tokens, through quash:9090, consistency local_region, in 1m30s\n" +
				"  unknown  2  UNAVAILABLE  lines 1, 3\n  dead     1  REVOKED      line 2\n" +
				"1 line certainly dead; 2 lines not, or not known to be.\n",
		},
		"all regions": {
			far,
			[]journal.Result{known},
			"1 line of tokens, through quash:9090, consistency all_regions, in 1m30s\n  dead  1  ALREADY_INVALID  line 1\n" +
				alreadyInvalidAlso + "; it does not say so for all regions.\nAll tokens are dead.\n",
		},
		"incomplete, though all that was read is dead": {
			cut,
			[]journal.Result{dead, dead},
			"2 lines of tokens, through quash:9090, consistency local_region, in 1m30s, after an earlier run\n  dead  2  REVOKED  lines 1-2\n" +
				"INCOMPLETE: it was interrupted. The list was read up to line 2; the same command goes on with it.\n",
		},
		"many ranges": {
			about(),
			slicesOf(20, dead, lost),
			"40 lines of tokens, through quash:9090, consistency local_region, in 1m30s\n" +
				"  unknown  20  UNAVAILABLE  lines 2, 4, 6, 8, 10, 12, 14, 16 and 12 more ranges\n" +
				"  dead     20  REVOKED      lines 1, 3, 5, 7, 9, 11, 13, 15 and 12 more ranges\n" +
				"20 lines certainly dead; 20 lines not, or not known to be.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := reportOf(t, c.about, c.lines...).WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// slicesOf is n times the same.
func slicesOf(n int, these ...journal.Result) (all []journal.Result) {
	for range n {
		all = append(all, these...)
	}
	return all
}

// parsed is a report as a program reads it.
type parsed struct {
	Complete      bool             `json:"complete"`
	WhyIncomplete string           `json:"why_incomplete"`
	StartedAt     string           `json:"started_at"`
	List          string           `json:"list"`
	Counts        map[string]int64 `json:"counts"`
	Groups        []parsedGroup    `json:"groups"`
	Duplicates    []map[string]int `json:"duplicates"`
}

type parsedGroup struct {
	Outcome string   `json:"outcome"`
	Dead    bool     `json:"certainly_dead"`
	Why     string   `json:"why"`
	Count   int64    `json:"count"`
	Lines   []string `json:"lines"`
}

func TestReportForPrograms(t *testing.T) {
	t.Parallel()
	odd := about()
	odd.List = "a \"list\"\n\xff"
	for name, c := range map[string]struct {
		about bulk.About
		lines []journal.Result
		want  parsed
	}{
		"nothing": {about(), nil, parsed{
			Complete: true, StartedAt: "2026-11-24T03:12:10Z", List: "tokens",
			Counts: map[string]int64{"lines": 0, "dead": 0, "rejected": 0, "in_progress": 0, "unknown": 0, "not_applied": 0, "not_asked": 0, "no_token": 0},
			Groups: []parsedGroup{}, Duplicates: []map[string]int{},
		}},
		"every kind": {odd, []journal.Result{dead, dead, known, foreign, duplicate, onItsWay, lost, refused, broken, unasked, duplicate}, parsed{
			Complete: true, StartedAt: "2026-11-24T03:12:10Z", List: "a \"list\"\n\uFFFD",
			Counts: map[string]int64{"lines": 11, "dead": 5, "rejected": 1, "in_progress": 1, "unknown": 1, "not_applied": 1, "not_asked": 1, "no_token": 1},
			Groups: []parsedGroup{
				{"not_applied", false, "OVERLOADED", 1, []string{"8"}},
				{"not_asked", false, "", 1, []string{"10"}},
				{"no_token", false, `has no member "token"`, 1, []string{"9"}},
				{"unknown", false, "UNAVAILABLE", 1, []string{"7"}},
				{"in_progress", false, "CONSISTENCY_TIMEOUT", 1, []string{"6"}},
				{"rejected", false, "TOKEN_REJECTED", 1, []string{"4"}},
				{"dead", true, "REVOKED", 4, []string{"1-2", "5", "11"}},
				{"dead", true, "ALREADY_INVALID", 1, []string{"3"}},
			},
			Duplicates: []map[string]int{{"line": 5, "first": 1}, {"line": 11, "first": 1}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "report.json")
			if err := reportOf(t, c.about, c.lines...).WriteFile(path); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var got parsed
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// A report that cannot be written leaves the one before, and nothing else.
func TestAReportIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	results := journalOf(t, slicesOf(3, dead, lost)...)
	report, err := bulk.NewReport(about(), results)
	if err != nil {
		t.Fatal(err)
	}
	if err := results.Close(); err != nil { // so that it cannot be read any more
		t.Fatal(err)
	}
	if err := report.WriteFile(path); err == nil {
		t.Error("a journal that is closed was read")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "before" {
		t.Errorf("it is %q now, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if _, err := bulk.NewReport(about(), results); err == nil {
		t.Error("what cannot be read was counted")
	}
}

// Whatever a line ends as, it is in the report once.
func TestEveryVerdictHasAKind(t *testing.T) {
	t.Parallel()
	for verdict := range journal.Verdict(journal.Verdicts) {
		if verdict == journal.Duplicate || verdict == journal.Empty {
			continue
		}
		report := reportOf(t, about(), journal.Result{Verdict: verdict, Problem: tokenlist.TooLong})
		if n := report.Lines(); n != 1 {
			t.Errorf("verdict %d is counted %d times", verdict, n)
		}
		if certain := report.Count(bulk.Dead) == 1; certain != verdict.Dead() {
			t.Errorf("verdict %d is dead: %t", verdict, certain)
		}
	}
}
