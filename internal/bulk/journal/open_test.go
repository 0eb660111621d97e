package journal_test

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/secrettest"
)

func TestWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string) // a journal with one line
		want  string                          // PATH is the journal's
	}{
		"a list": {
			func(t *testing.T, path string) { write(t, path, []byte("token-1\ntoken-2\n")) },
			"the journal PATH cannot be used: it is not a journal of quash's, and was left as it is: name another file",
		},
		"something larger": {
			func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("x"), 1<<16)) },
			"the journal PATH cannot be used: it is not a journal of quash's, and was left as it is: name another file",
		},
		"another format": {
			func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { binary.LittleEndian.PutUint32(b[24:], 7); return b })
			},
			"the journal PATH cannot be used: it has format 7, and this version of quash has format 1: " +
				"go on with the version that began it, or start over with another journal",
		},
		"a beginning that is damaged": {
			func(t *testing.T, path string) {
				change(t, path, func(b []byte) []byte { b[4000] ^= 1; return b })
			},
			"the journal PATH cannot be used: its beginning is damaged: bring an intact copy back, or start over with another journal",
		},
		"a beginning that is cut short": {
			func(t *testing.T, path string) { change(t, path, func(b []byte) []byte { return b[:200] }) },
			"the journal PATH cannot be used: its beginning is damaged: bring an intact copy back, or start over with another journal",
		},
		"no key": {
			func(t *testing.T, path string) { remove(t, path+".key") },
			"the journal's key PATH.key is missing, and nothing tells its lines without it: " +
				"put the key back, or start over with another journal",
		},
		"the key of another": {
			func(t *testing.T, path string) { write(t, path+".key", bytes.Repeat([]byte("k"), 32)) },
			"PATH.key is not the key of the journal PATH: put the right key back, or start over with another journal",
		},
		"half a key": {
			func(t *testing.T, path string) { write(t, path+".key", []byte("k")) },
			"PATH.key is not the key of a journal: put the key back, or start over with another journal",
		},
		"too long a key": {
			func(t *testing.T, path string) { write(t, path+".key", bytes.Repeat([]byte("k"), 33)) },
			"PATH.key is not the key of a journal: put the key back, or start over with another journal",
		},
		"a new journal beside what is no key": {
			func(t *testing.T, path string) { remove(t, path); write(t, path+".key", []byte("k")) },
			"PATH.key is not the key of a journal: put the key back, or start over with another journal",
		},
		"a directory": {
			func(t *testing.T, path string) {
				remove(t, path)
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			"the journal cannot be opened: open PATH: is a directory",
		},
		"in use": {
			func(t *testing.T, path string) { open(t, path) },
			"the journal PATH cannot be used: another run has it open: wait for that to end, or name another journal",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			j := open(t, path)
			begin(t, j, 1, "token-1")
			closed(t, j)
			c.spoil(t, path)
			before := read(t, path)
			_, err := journal.Open(path)
			if want := strings.ReplaceAll(c.want, "PATH", path); err == nil || err.Error() != want {
				t.Errorf("failed with %v\nwant %s", err, want)
			}
			if !bytes.Equal(before, read(t, path)) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestWhereNoJournalCanBe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "tokens.journal")
	if _, err := journal.Open(path); err == nil || err.Error() != "the journal cannot be opened: open "+path+": no such file or directory" {
		t.Errorf("failed with %v", err)
	}
	if _, err := journal.Open(os.DevNull); err == nil || !strings.Contains(err.Error(), "it is not an ordinary file") {
		t.Errorf("failed with %v", err)
	}
}

// What is damaged after its beginning is used: what was there may have been sent.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	for line := int64(1); line <= 3; line++ {
		begin(t, j, line, tokenOf(line))
		record(t, j, line, revoked)
	}
	closed(t, j)
	const secondRecord = 4096 + 32
	change(t, path, func(b []byte) []byte { b[secondRecord+16] ^= 8; return b[:len(b)-5] })

	j = open(t, path)
	if got, want := j.Counts(), (journal.Counts{journal.Revoked: 1, journal.Unknown: 2}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
	for line, want := range map[int64]journal.Standing{
		1: {Done: true, Result: revoked},
		2: {MaybeApplied: true, Result: journal.Result{Verdict: journal.Unknown}},
		3: {MaybeApplied: true, Result: journal.Result{Verdict: journal.Unknown}},
	} {
		if got := resultOf(t, j, line); got != want.Result {
			t.Errorf("line %d is %+v, want %+v", line, got, want.Result)
		}
	}
	for line := int64(1); line <= 3; line++ {
		standing := begin(t, j, line, tokenOf(line))
		if !standing.Done {
			sending(t, j, line)
			record(t, j, line, journal.Result{Verdict: journal.Rejected})
		}
	}
	if got, want := j.Counts(), (journal.Counts{journal.Revoked: 1, journal.AlreadyInvalid: 2}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	if _, err := journal.Open(path); err == nil {
		t.Error("two runs have the same journal")
	}
	closed(t, j)
	open(t, path)
}

func TestTheKeyOfAJournalThatWasMoved(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, "a")
	closed(t, j)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, path))
	if err := os.Rename(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	begin(t, open(t, path), 1, "a")
}

func TestAnEmptyFileBecomesAJournal(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, nil)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	j := open(t, path)
	if j.Resumed() {
		t.Error("it is resumed")
	}
	checkFiles(t, path)
}

func TestWithoutAName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	j := open(t, "")
	begin(t, j, 1, "a")
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("there are %v, %v", files, err)
	}
	if err := j.Bind("terms"); err != nil {
		t.Error(err)
	}
	closed(t, j)
}

// What is on disk is for nobody else, and has nothing of the tokens.
func TestNothingOfTheTokensIsOnDisk(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJhLXVuaXF1ZS1qdGktaW5kZWVkIiwic3ViIjoic29tZS1wZXJzb24tb2Ytb3VycyJ9.c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, token)
	sending(t, j, 1)
	record(t, j, 1, revoked)
	checkFiles(t, path)
	_, err := j.Begin(1, token+"x")
	if err == nil {
		t.Error("another token has the same hash")
	}
	searcher := secrettest.NewSearcher(secrettest.OfToken("token", token)...)
	for where, text := range map[string]string{
		"journal": string(read(t, path)), "key": string(read(t, path+".key")), "error": err.Error(),
	} {
		if what, at := searcher.Find(text); what != "" {
			t.Errorf("the %s tells %s at %d", where, what, at)
		}
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	bind := func(terms string) error {
		j := open(t, path)
		defer closed(t, j)
		err := j.Bind(terms)
		begin(t, j, 1, "a")
		return err
	}
	for _, terms := range []string{"--consistency all-regions", "--consistency all-regions"} {
		if err := bind(terms); err != nil {
			t.Error(err)
		}
	}
	want := "the journal " + path + " is that of another run (--consistency all-regions), not of this one (--consistency local-region): " +
		"run it as it was begun, or start over with another journal"
	if err := bind("--consistency local-region"); err == nil || err.Error() != want {
		t.Errorf("failed with %v\nwant %s", err, want)
	}
	if err := open(t, "").Bind(strings.Repeat("x", 5000)); err == nil {
		t.Error("there is no end to the terms")
	}
}

// A journal that was killed before its first line is as good as new.
func TestTermsOfAJournalWithoutLines(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	for _, terms := range []string{"one", strings.Repeat("another", 500)} {
		j := open(t, path)
		if err := j.Bind(terms); err != nil || j.Resumed() {
			t.Errorf("resumed %v, %v", j.Resumed(), err)
		}
		closed(t, j)
	}
}

// checkFiles sees to it that there are the journal and its key, readable by nobody else.
func checkFiles(t *testing.T, path string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 {
		t.Errorf("there are %v, %v", files, err)
	}
	for _, path := range []string{path, path + ".key"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func change(t testing.TB, path string, how func([]byte) []byte) {
	t.Helper()
	write(t, path, how(read(t, path)))
}

// read returns what a file has, nothing of a directory.
func read(t testing.TB, path string) []byte {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Whoever makes a key may be killed before it is written. Nothing depends on it yet.
func TestANewJournalTakesTheNameOfAnEmptyKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	write(t, path+".key", nil)
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(read(t, path+".key")); got != 32 {
		t.Errorf("the key has %d bytes", got)
	}
}
