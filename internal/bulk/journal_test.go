package bulk_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/secrettest"
)

var terms = bulk.Terms{Addr: "quash:9090", Consistency: "local_region"}

// resume opens the journal at path for the list of f. It is closed when the test ends.
func (f *fixture) resume(t *testing.T, path string) {
	t.Helper()
	j, err := bulk.OpenJournal(path, terms, bulk.LastLine(f.Lines))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if err := j.Restore(f.Lines); err != nil {
		t.Fatal(err)
	}
	f.Journal = j
}

// oneRun completes a run over a list.
func oneRun(t *testing.T, path string, script map[string][]bulk.Answer, lines ...string) *fixture {
	t.Helper()
	f := newFixture(t, lines...)
	f.Concurrency = 1
	f.script = script
	synctest.Test(t, func(t *testing.T) {
		f.resume(t, path)
		f.run(t)
	})
	return f
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "tokens.journal")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A journal is readable text.
func TestJournal(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	oneRun(t, path, map[string][]bulk.Answer{token(1): {unavailable, rejected}}, token(0), "", token(1), "no token", token(0))
	want := `{"journal":"quash revoke","version":2,"addr":"quash:9090","consistency":"local_region","lines":5,"key_check":"HASH"}
{"line":1,"sent":"HASH"}
{"line":1,"outcome":"dead","why":"REVOKED"}
{"line":3,"sent":"HASH"}
{"line":3,"outcome":"unknown","why":"UPSTREAM_UNAVAILABLE"}
{"line":3,"sent":"HASH"}
{"line":3,"outcome":"dead","why":"ALREADY_INVALID"}
`
	got := regexp.MustCompile(`\b[0-9a-f]{32}\b`).ReplaceAllString(string(read(t, path)), "HASH")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong journal (-want +got):\n%s", diff)
	}
}

// A run may be killed while it writes any byte. The next run skips no token, sends again only
// tokens that may not have been answered, and reports no token as dead that may be alive.
func TestJournalCutAnywhere(t *testing.T) {
	t.Parallel()
	whole := newPath(t)
	lines := []string{token(0), token(1), token(0), token(2)}
	oneRun(t, whole, map[string][]bulk.Answer{token(1): {unavailable, revoked}}, lines...)
	text := read(t, whole)
	header := bytes.IndexByte(text, '\n') + 1
	for size := header; size <= len(text); size++ {
		path := newPath(t)
		write(t, path, text[:size])
		write(t, bulk.KeyPath(path), read(t, bulk.KeyPath(whole)))
		// SlashID has revoked every token that was sent, perhaps one more than the journal
		// knows, and then rejects it.
		records := bytes.Split(text[header:size], []byte("\n"))
		last := len(records) - 1 // incomplete, or empty
		sent, answered := map[string]bool{}, map[string]bool{}
		for _, r := range records[:last] {
			for i, line := range lines {
				at := fmt.Sprintf(`{"line":%d,`, i+1)
				if bytes.HasPrefix(r, []byte(at+`"sent"`)) {
					sent[line] = true
				} else if bytes.HasPrefix(r, []byte(at+`"outcome":"dead"`)) {
					answered[line] = true
				}
			}
		}
		f := newFixture(t, lines...)
		f.always = func(token string) (bulk.Answer, bool) { return rejected, sent[token] }
		synctest.Test(t, func(t *testing.T) {
			f.resume(t, path)
			f.run(t)
		})
		for _, line := range f.Lines {
			if line.First != nil {
				continue
			}
			want, calls := dead, 1
			if answered[line.Token] {
				calls = 0
			} else if sent[line.Token] {
				want = deadBefore
			}
			if line.Result != want || f.calls[line.Token] != calls {
				t.Errorf("cut at %d: line %d is %v after %d calls, want %v after %d", size, line.Number, line.Result, f.calls[line.Token], want, calls)
			}
		}
		// The run after that has nothing to do.
		again := newFixture(t, lines...)
		synctest.Test(t, func(t *testing.T) { again.resume(t, path); again.run(t) })
		if len(again.calls) > 0 {
			t.Errorf("cut at %d: the run after it made %d calls", size, len(again.calls))
		}
	}
}

// The result of an earlier run counts for the result of a token, whatever the answer is now.
func TestResumedResults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		earlier, now []bulk.Answer
		want         bulk.Result
		calls        int
	}{
		"revoked":                    {[]bulk.Answer{revoked}, []bulk.Answer{rejected}, dead, 0},
		"rejected":                   {[]bulk.Answer{rejected}, []bulk.Answer{revoked}, isRejected, 0},
		"in progress, then rejected": {[]bulk.Answer{pending}, []bulk.Answer{rejected}, deadBefore, 1},
		"unknown, then rejected":     {[]bulk.Answer{unavailable}, []bulk.Answer{rejected}, deadBefore, 1},
		"unknown, then refused":      {[]bulk.Answer{unavailable}, []bulk.Answer{invalid}, bulk.Result{Outcome: bulk.Unknown, Why: "INVALID_REQUEST"}, 1},
		"not applied, then rejected": {[]bulk.Answer{invalid}, []bulk.Answer{rejected}, isRejected, 1},
		"not applied, then revoked":  {[]bulk.Answer{invalid}, []bulk.Answer{revoked}, dead, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			oneRun(t, path, map[string][]bulk.Answer{token(0): tt.earlier}, token(0))
			f := oneRun(t, path, map[string][]bulk.Answer{token(0): tt.now}, token(0))
			if got := f.Lines[0].Result; got != tt.want || len(f.begun) != tt.calls {
				t.Errorf("%v after %d calls, want %v after %d", got, len(f.begun), tt.want, tt.calls)
			}
		})
	}
}

// A journal that cannot be used is not changed.
func TestJournalsThatAreRefused(t *testing.T) {
	t.Parallel()
	type spoil = func(t *testing.T, path string) // a journal with one line
	replace := func(from, to string) spoil {
		return func(t *testing.T, path string) {
			t.Helper()
			write(t, path, bytes.ReplaceAll(read(t, path), []byte(from), []byte(to)))
		}
	}
	content := func(text string) spoil {
		return func(t *testing.T, path string) { t.Helper(); write(t, path, []byte(text)) }
	}
	appended := func(line string) spoil {
		return func(t *testing.T, path string) { t.Helper(); write(t, path, append(read(t, path), line+"\n"...)) }
	}
	key := func(text string) spoil {
		return func(t *testing.T, path string) { t.Helper(); write(t, bulk.KeyPath(path), []byte(text)) }
	}
	inUse := func(t *testing.T, path string) { t.Helper(); newFixture(t, token(0)).resume(t, path) }
	noKeyFile := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(bulk.KeyPath(path)); err != nil {
			t.Fatal(err)
		}
	}
	const (
		anotherJournal = "start over with another journal"
		notOurs        = "the journal PATH cannot be used: it is not a quash journal, and was not changed: name another file"
		noKey          = "PATH.key is not the key of a journal: restore the key, or " + anotherJournal
		sameVersion    = ": finish it with the version that started it, or " + anotherJournal
		anotherRun     = "the journal PATH belongs to another run (--addr %s), not to this one (--addr quash:9090 --consistency local_region): " +
			"use the flags of that run, or " + anotherJournal
	)
	for name, c := range map[string]struct {
		spoil spoil
		want  string // PATH stands for the journal
	}{
		"a list":              {content("token-1\ntoken-2\n"), notOurs},
		"a list without ends": {content(strings.Repeat("x", 1<<16)), notOurs},
		"other JSON":          {content(`{"version":2}` + "\n{}\n"), notOurs},
		"half a header":       {content(`{"journal":"quash revoke","version":2,"addr":"quash:9090"`), notOurs},
		"the binary format": {
			content("quash revoke journal\n\x00\x00\x00\x01\x00\x00\x00"),
			"the journal PATH cannot be used: it has the binary format of an earlier version of quash" + sameVersion,
		},
		"a later format": {
			replace(`"version":2`, `"version":7`),
			"the journal PATH cannot be used: it has format 7, but this version of quash uses format 2" + sameVersion,
		},
		"another address":     {replace("quash:9090", "other:9090"), fmt.Sprintf(anotherRun, "other:9090 --consistency local_region")},
		"another consistency": {replace("local_region", "all_regions"), fmt.Sprintf(anotherRun, "quash:9090 --consistency all_regions")},
		"invalid allowed": {
			replace(`"lines"`, `"allow_invalid":true,"lines"`),
			fmt.Sprintf(anotherRun, "quash:9090 --consistency local_region --allow-invalid"),
		},
		// Only the last line may be incomplete.
		"no JSON":     {appended("not JSON"), "line 4 of the journal PATH is damaged: restore an intact copy, or " + anotherJournal},
		"a half line": {appended(`{"line":1}`), "line 4 of the journal PATH is damaged: restore an intact copy, or " + anotherJournal},
		"a long line": {appended(strings.Repeat("x", 1e5)), "line 4 of the journal PATH is damaged: restore an intact copy, or " + anotherJournal},
		"no key": {
			noKeyFile,
			"the journal's key PATH.key is missing, and the journal cannot be used without it: restore the key, or " + anotherJournal,
		},
		"the key of another": {key(strings.Repeat("k", 32)), "PATH.key is not the key of the journal PATH: restore the right key, or " + anotherJournal},
		"half a key":         {key("k"), noKey},
		"too long a key":     {key(strings.Repeat("k", 33)), noKey},
		"in use":             {inUse, "the journal PATH cannot be used: another run is using it: wait until that run ends, or name another journal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			oneRun(t, path, nil, token(0))
			c.spoil(t, path)
			before := read(t, path)
			lines := linesOf(t, token(0))
			j, err := bulk.OpenJournal(path, terms, 1)
			if err == nil {
				defer j.Close()
				err = j.Restore(lines)
			}
			if want := strings.ReplaceAll(c.want, "PATH", path); err == nil || err.Error() != want || lines[0].Result != notAsked {
				t.Errorf("failed with %v, and the line is %v\nwant %s", err, lines[0].Result, want)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestPlacesWhereNoJournalCanBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing", "journal"): "the journal cannot be opened: ",
		dir:                                      "the journal cannot be opened: ",
		os.DevNull:                               "it is not a regular file",
	} {
		if _, err := bulk.OpenJournal(path, terms, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: failed with %v", path, err)
		}
	}
}

// A list may get more lines at its end. Any other change is rejected.
func TestListsOfAJournal(t *testing.T) {
	t.Parallel()
	const other = "line LINE of the list differs from the line in the journal PATH: " +
		"use the unchanged list (you may add lines at its end), or start over with another journal"
	shorter := func(last int) string {
		return fmt.Sprintf("the list ends at line %d, but had at least 5 lines in an earlier run: use the whole list, or start over with another journal", last)
	}
	a, b, c, d := token(1), token(2), token(3), token(4)
	for name, tt := range map[string]struct {
		list []string
		want string
	}{
		"as it was":             {[]string{a, "", b, c, "no token"}, ""},
		"other white space":     {[]string{" " + a, "\t", b + "\r", c, "no token"}, ""},
		"more at its end":       {[]string{a, "", b, c, "no token", d, a}, ""},
		"less at its end":       {[]string{a, "", b}, shorter(3)},
		"nothing":               {nil, shorter(0)},
		"another order":         {[]string{a, "", c, b, "no token"}, strings.Replace(other, "LINE", "3", 1)},
		"another token":         {[]string{a, "", b, d, "no token"}, strings.Replace(other, "LINE", "4", 1)},
		"a token that is empty": {[]string{a, "", "", c, "no token"}, strings.Replace(other, "LINE", "3", 1)},
		"the first token twice": {[]string{a, "", a, c, "no token"}, strings.Replace(other, "LINE", "3", 1)},
		"no token any more":     {[]string{a, "", "no token", c, "no token"}, strings.Replace(other, "LINE", "3", 1)},
		"one line less before":  {[]string{a, b, c, "no token", d}, strings.Replace(other, "LINE", "3", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			oneRun(t, path, nil, a, "", b, c, "no token")
			lines := linesOf(t, tt.list...)
			j, err := bulk.OpenJournal(path, terms, bulk.LastLine(lines))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			err = j.Restore(lines)
			if want := strings.Replace(tt.want, "PATH", path, 1); fmt.Sprint(err) != want && (err != nil || want != "") {
				t.Errorf("failed with %v\nwant %s", err, want)
			}
			for _, line := range lines {
				if tt.want != "" && line.Token != "" && line.Result != notAsked {
					t.Errorf("line %d of a list that is refused is %v", line.Number, line.Result)
				}
			}
		})
	}
}

// A journal without records is treated as new, also with other terms. It uses an existing key,
// because that may belong to a journal that was moved away.
func TestNewJournals(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	oneRun(t, path, nil, token(0))
	key := read(t, bulk.KeyPath(path))
	write(t, path, nil)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, terms := range []bulk.Terms{terms, {Addr: "elsewhere:9090", Consistency: "all_regions"}} {
		j, err := bulk.OpenJournal(path, terms, 1)
		if err != nil || j.Resumed() {
			t.Fatalf("resumed: %t, %v", j.Resumed(), err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(key, read(t, bulk.KeyPath(path))) {
		t.Error("the key was replaced")
	}
	write(t, bulk.KeyPath(path), nil)
	if err := os.Chmod(bulk.KeyPath(path), 0o666); err != nil {
		t.Fatal(err)
	}
	oneRun(t, path, nil)
	for _, name := range []string{path, bulk.KeyPath(path)} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if n := len(read(t, bulk.KeyPath(path))); n != 32 {
		t.Errorf("an empty key has %d bytes now", n)
	}
}

// Only the owner can read the files of a journal, and they contain no part of a token.
func TestNothingOfATokenIsOnDisk(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJhLXVuaXF1ZS1qdGktaW5kZWVkIiwic3ViIjoic29tZS1wZXJzb24tb2Ytb3VycyJ9.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
	path := newPath(t)
	oneRun(t, path, nil, token)
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 {
		t.Errorf("there are %v, %v", files, err)
	}
	scan := secrettest.NewSearcher(secrettest.OfToken("token", token)...)
	for _, path := range []string{path, bulk.KeyPath(path)} {
		if what, at := scan.Find(string(read(t, path))); what != "" {
			t.Errorf("%s has %s at %d", path, what, at)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	// The hash of a token depends on the key.
	other := newPath(t)
	oneRun(t, other, nil, token)
	_, records, _ := bytes.Cut(read(t, path), []byte("\n"))
	_, otherRecords, _ := bytes.Cut(read(t, other), []byte("\n"))
	if bytes.Equal(records, otherRecords) {
		t.Error("two journals have the same hash for a token")
	}
}

// FuzzJournal opens any file. Either it is rejected and not changed, or it is a journal for
// which a second run has nothing to do.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"line":1,"sent":"00"}` + "\n"))
	f.Add([]byte(`{"line":1,"outcome":"dead"}` + "\n" + `{"line":2,"outcome":"not_applied","why":"X"}` + "\n{"))
	f.Add([]byte("\x00\x00\n"))
	f.Fuzz(func(t *testing.T, records []byte) {
		path := newPath(t)
		oneRun(t, path, nil, token(0))
		header, _, _ := bytes.Cut(read(t, path), []byte("\n"))
		write(t, path, append(append(header, '\n'), records...))
		before := read(t, path)
		lines := linesOf(t, token(0), token(1))
		j, err := bulk.OpenJournal(path, terms, 2)
		if err != nil {
			t.Fatal(err)
		}
		err = j.Restore(lines)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			if !bytes.Equal(before, read(t, path)) {
				t.Error("a journal that is refused was changed")
			}
			return
		}
		oneRun(t, path, nil, token(0), token(1))
		if f := oneRun(t, path, nil, token(0), token(1)); len(f.calls) > 0 {
			t.Errorf("there were %v", maps.Keys(f.calls))
		}
	})
}
