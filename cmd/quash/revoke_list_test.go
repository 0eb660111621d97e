package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/secrettest"
	"github.com/quashdev/quash/service"
)

// leaked is a token of a list.
func leaked(n int) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"ES256","kid":"k"}`) + "." + part(fmt.Sprintf(`{"sub":"person-%06d","jti":"a-jti-that-nobody-guesses-%06d"}`, n, n)) +
		"." + part(strings.Repeat(fmt.Sprintf("signature %06d", n), 4))
}

// revoking is a quash that revokes everything, once.
type revoking struct {
	mu    sync.Mutex
	asked []string
}

func (r *revoking) revoke(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req.GetToken())
	return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
}

// tokens are those that were asked about, sorted.
func (r *revoking) tokens() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.asked))
}

const bulkDoc = "../../docs/bulk.md"

// Each problem is reported with the number of its line, in the words of docs/bulk.md; all
// other tokens are revoked, and no output has anything of a token.
func TestRevokeListForms(t *testing.T) {
	t.Parallel()
	doc := contents(t, bulkDoc)
	one, two, three := leaked(1), leaked(2), leaked(3)
	const noChars = "has characters that no token has"
	const jsonPart = "looks like a part of a longer text in JSON: write a token a line, as jq -r does"
	for name, c := range map[string]struct {
		list  string
		asked []string
		said  []string // each line, after "quash: "
		code  int
	}{
		"duplicates":               {one + "\n" + two + "\n" + one + "\n" + one + "\n", []string{one, two}, nil, exitOK},
		"a nested object":          {`{"session":{"token":"` + one + "\"}}\n" + two, []string{two}, []string{`line 1 has no member "token"`}, exitNotApplied},
		"a number":                 {"{\"token\":7}\n", nil, []string{`line 1 has a member "token" that is not a string`}, exitNotApplied},
		"an empty token":           {"{\"token\":\"\"}\n\"\"\n", nil, []string{"line 1 has an empty token", "line 2 has an empty token"}, exitNotApplied},
		"half an object":           {`{"token":"` + one + "\n" + two, []string{two}, []string{"line 1 begins like an object of JSON, and is not one"}, exitNotApplied},
		"an array":                 {"[\n\"" + one + "\",\n\"" + two + "\"\n]\n", []string{two}, []string{"line 1 " + jsonPart, "line 2 " + jsonPart, "line 4 " + jsonPart}, exitNotApplied},
		"a comma after the token":  {one + ",\n" + two, []string{two}, []string{"line 1 " + noChars}, exitNotApplied},
		"a header":                 {"Bearer " + one + "\n" + two, []string{two}, []string{`line 1 begins with "Bearer": leave the token only`}, exitNotApplied},
		"binary":                   {"\x00\x01\xff\n" + one + "\n\x7fELF", []string{one}, []string{"line 1 " + noChars, "line 3 " + noChars}, exitNotApplied},
		"a token that is too long": {one + strings.Repeat("a", 16<<10) + "\n" + two, []string{two}, []string{"line 1 is longer than any token"}, exitNotApplied},
		"a wrapped token": {
			one[:64] + "\n" + one[64:128] + "\n" + one[128:] + "\n" + two + "\n",
			[]string{two},
			[]string{
				"line 1 looks like the beginning of a token that was wrapped, and goes on in the next line",
				"line 2 looks like a further part of a token that was wrapped, and begins in a line before",
				"line 3 looks like a further part of a token that was wrapped, and begins in a line before",
			},
			exitNotApplied,
		},
		"UTF-16": {
			inUTF16(one + "\r\n"), nil,
			[]string{"line 1 of the list cannot be read: it is UTF-16: convert the list to UTF-8, as with iconv -f UTF-16 -t UTF-8"},
			exitIncomplete,
		},
		"compressed": {
			"\x1f\x8b\x08\x00" + one, nil,
			[]string{"line 1 of the list cannot be read: it is compressed: unpack the list first, as with gunzip"},
			exitIncomplete,
		},
		"a spreadsheet": {
			"PK\x03\x04" + one, nil,
			[]string{"line 1 of the list cannot be read: it is an archive, or a document of an office program: export the list as text"},
			exitIncomplete,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var quash revoking
			addr := startAnswering(t, quash.revoke)
			dir := t.TempDir()
			list, report := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
			fill(t, list, c.list)
			got := revoke(t, "", "--addr", addr, "--file", list, "--report", report)
			var said strings.Builder
			for _, line := range c.said {
				fmt.Fprintln(&said, "quash:", line)
				_, problem, _ := strings.Cut(strings.TrimPrefix(line, "line "), " ")
				if !strings.Contains(doc, strings.ReplaceAll(problem, "|", `\|`)) {
					t.Errorf("%s does not have %q", bulkDoc, problem)
				}
			}
			if got.code != c.code || got.stderr != said.String() {
				t.Errorf("it ended with %+v\nwant code %d and\n%s", got, c.code, &said)
			}
			if asked := quash.tokens(); !slices.Equal(asked, c.asked) {
				t.Errorf("%d tokens were asked about, want %d", len(asked), len(c.asked))
			}
			var secrets []secrettest.Secret
			for i, token := range []string{one, two, three} {
				secrets = append(secrets, secrettest.OfToken(fmt.Sprint("token ", i+1), token)...)
			}
			searcher := secrettest.NewSearcher(secrets...)
			for where, text := range map[string]string{
				"standard output": got.stdout, "standard error": got.stderr, "report": contents(t, report), "journal": contents(t, list+".journal"),
			} {
				if what, at := searcher.Find(text); what != "" {
					t.Errorf("the %s has %s at %d", where, what, at)
				}
			}
		})
	}
}

func inUTF16(text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

// A list may not be written over, nor what else a run needs.
func TestRevokeListKeepsItsFiles(t *testing.T) {
	t.Parallel()
	var quash revoking
	addr := startAnswering(t, quash.revoke)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	fill(t, path("list"), leaked(1)+"\n")
	fill(t, path("empty"), "")
	for link, to := range map[string]string{"link": "list", "here": "."} {
		if err := os.Symlink(to, path(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(path("list"), path("twin")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the report is the list":              {[]string{"--file", path("list"), "--report", path("list")}, "--report is the list itself: name another file"},
		"a link to it":                        {[]string{"--file", path("list"), "--report", path("link")}, "--report is the list itself: name another file"},
		"a second name of it":                 {[]string{"--file", path("list"), "--report", path("twin")}, "--report is the list itself: name another file"},
		"the list is a link":                  {[]string{"--file", path("link"), "--report", path("list")}, "--report is the list itself: name another file"},
		"an empty list":                       {[]string{"--file", path("empty"), "--report", path("empty")}, "--report is the list itself: name another file"},
		"the report is the journal":           {[]string{"--file", path("list"), "--report", path("list.journal")}, "--report is the journal, or its key: name another file"},
		"it is there by another way":          {[]string{"--file", path("list"), "--report", path("here/list.journal")}, "--report is the journal, or its key: name another file"},
		"it is the one that was named":        {[]string{"--file", path("list"), "--journal", path("j"), "--report", path("here/../j")}, "--report is the journal, or its key: name another file"},
		"the report is the key":               {[]string{"--file", path("list"), "--report", path("list.journal.key")}, "--report is the journal, or its key: name another file"},
		"the journal is the list":             {[]string{"--file", path("list"), "--journal", path("list")}, "--journal is the list itself: name another file"},
		"the journal is the list, still none": {[]string{"--file", path("empty"), "--journal", path("empty")}, "--journal is the list itself: name another file"},
	} {
		got := revoke(t, "", append([]string{"--addr", addr}, c.args...)...)
		if want := (ended{exitUsage, "", "quash: " + c.want + "\n"}); got != want {
			t.Errorf("%s: it ended with %+v\nwant %+v", name, got, want)
		}
	}
	if contents(t, path("list")) != leaked(1)+"\n" || contents(t, path("empty")) != "" || len(quash.tokens()) > 0 {
		t.Error("something was done")
	}
}

// Not even where the shell has opened it.
func TestRevokeListKeepsItsInput(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "list")
	fill(t, path, leaked(1))
	for flag, want := range map[string]string{
		"--report":  "quash: --report is the list itself: name another file\n",
		"--journal": "quash: --journal is the list itself: name another file\n",
	} {
		in, err := os.Open(path)
		must(t, err)
		defer in.Close()
		var stderr strings.Builder
		code := run(t.Context(), []string{"revoke", "--file", "-", flag, path}, streams{in, io.Discard, &stderr})
		if code != exitUsage || stderr.String() != want || contents(t, path) != leaked(1) {
			t.Errorf("%s: exit code %d, %q", flag, code, &stderr)
		}
	}
}

// The files that a run leaves are for their owner only.
func TestRevokeListFilesArePrivate(t *testing.T) {
	t.Parallel()
	addr := startAnswering(t, new(revoking).revoke)
	dir := t.TempDir()
	list, report := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
	fill(t, list, leaked(1))
	if got := revoke(t, "", "--addr", addr, "--file", list, "--report", report); got.code != exitOK {
		t.Fatalf("it ended with %+v", got)
	}
	for _, path := range []string{report, list + ".journal", list + ".journal.key"} {
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// What was done elsewhere, or to another consistency, is not done. How it is done may
// change from run to run.
func TestRevokeListIsBoundToItsTerms(t *testing.T) {
	t.Parallel()
	var quash, other revoking
	addr, elsewhere := startAnswering(t, quash.revoke), startAnswering(t, other.revoke)
	list := filepath.Join(t.TempDir(), "list")
	fill(t, list, leaked(1)+"\n"+leaked(2)+"\n")
	begun := []string{"--addr", addr, "--file", list}
	if got := revoke(t, "", begun...); got.code != exitOK {
		t.Fatalf("it ended with %+v", got)
	}
	for _, args := range [][]string{
		{"--addr", elsewhere, "--file", list},
		append(slices.Clone(begun), "--consistency", "all_regions"),
		append(slices.Clone(begun), "--allow-invalid"),
	} {
		if got := revoke(t, "", args...); got.code != exitFailure || !strings.Contains(got.stderr, "is that of another run (--addr "+addr+" --consistency local_region)") {
			t.Errorf("it ended with %+v", got)
		}
	}
	again := append(slices.Clone(begun), "--rate", "5", "--timeout", "2s", "--until-dead", "--concurrency", "3")
	if got := revoke(t, "", again...); got.code != exitOK || !strings.Contains(got.stdout, "after an earlier run") {
		t.Errorf("it ended with %+v", got)
	}
	if len(quash.tokens()) != 2 || len(other.tokens()) != 0 {
		t.Errorf("%d tokens were sent, and %d elsewhere", len(quash.tokens()), len(other.tokens()))
	}
}

// The exit code is that of the token that is worst off.
func TestRevokeListExitCodes(t *testing.T) {
	t.Parallel()
	const dead, rejected, accepted, refused, noToken = "d", "r", "a", "n", "{"
	for list, want := range map[string]int{
		dead:                                 exitOK,
		dead + rejected:                      exitRejected,
		rejected + accepted:                  exitInProgress,
		dead + accepted + rejected + refused: exitNotApplied,
		dead + dead + refused + dead:         exitNotApplied,
		"":                                   exitIncomplete,
		dead + noToken:                       exitNotApplied,
	} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			addr := startAnswering(t, func(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
				switch req.GetToken()[:1] {
				case rejected:
					return nil, answerNamed(t, "TOKEN_REJECTED")
				case accepted:
					return nil, answerNamed(t, "CONSISTENCY_TIMEOUT")
				case refused:
					return nil, answerNamed(t, "INVALID_REQUEST")
				}
				return &quashv1.RevokeResponse{Outcome: quashv1.Outcome_OUTCOME_REVOKED}, nil
			})
			var lines strings.Builder
			for i, kind := range strings.Split(list, "") {
				fmt.Fprintf(&lines, "%s%s%d\n", kind, strings.Repeat(kind, 3), i)
			}
			if got := revoke(t, lines.String(), "--addr", addr, "--file", "-"); got.code != want {
				t.Errorf("exit code %d, want %d: %+v", got.code, want, got)
			}
		})
	}
}

// A result that cannot be written is no success, although the tokens are dead.
func TestRevokeCannotSayWhatItDid(t *testing.T) {
	t.Parallel()
	addr := startAnswering(t, new(revoking).revoke)
	for name, args := range map[string][]string{
		"a token":            {},
		"a token, as JSON":   {"--output", "json"},
		"a list":             {"--file", "-"},
		"a list, as JSON":    {"--file", "-", "--output", "json"},
		"a list, and a file": {"--file", "-", "--report", filepath.Join(t.TempDir(), "report.json")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip(err)
			}
			defer full.Close()
			var stderr strings.Builder
			code := run(t.Context(), append([]string{"revoke", "--addr", addr}, args...), streams{strings.NewReader(leaked(1)), full, &stderr})
			if code != exitIncomplete || !strings.Contains(stderr.String(), "no space left on device") {
				t.Errorf("exit code %d, %q", code, &stderr)
			}
		})
	}
}

// answerNamed is the error of quash's outcome table that has a reason, and says most.
func answerNamed(t *testing.T, reason string) error {
	t.Helper()
	for _, doc := range service.OutcomeDocs() {
		if doc.Error != nil && doc.Error.Reason() == reason {
			_, err := answerTo(t, doc)
			return err
		}
	}
	t.Errorf("there is no reason %s", reason)
	return nil
}

func TestWhyIncomplete(t *testing.T) {
	t.Parallel()
	for want, errs := range map[string][]error{
		"":                               {nil, nil},
		"it was interrupted":             {context.Canceled, nil},
		"it was interrupted, and it has": {context.Canceled, nil, errors.New("it has")},
		"open [redacted]: no such file":  {errors.New("open " + leaked(1) + ": no such file")},
	} {
		if got := whyIncomplete(errs...); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
