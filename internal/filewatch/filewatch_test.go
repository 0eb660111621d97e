package filewatch_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/internal/filewatch"
)

// parseWord takes anything but the empty text.
func parseWord(content []byte) (string, error) {
	word := strings.TrimSpace(string(content))
	if word == "" {
		return "", errors.New("it is empty")
	}
	return word, nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n")
	for path, want := range map[string]string{
		"/nowhere/at/all": "/nowhere/at/all: no such file or directory",
		empty:             empty + ": it is empty",
	} {
		if _, err := filewatch.Load(path, parseWord); err == nil || err.Error() != want {
			t.Errorf("Load: %v, want %q", err, want)
		}
	}
}

// parsePair takes two words that are the same.
func parsePair(first, second []byte) (string, error) {
	if !bytes.Equal(first, second) {
		return "", errors.New("they do not belong together")
	}
	return parseWord(first)
}

func TestLoadPairSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	write(t, one, "one")
	write(t, other, "other")
	for _, tt := range []struct{ first, second, want string }{
		{one, other, one + " and " + other + ": they do not belong together"},
		{one, "/nowhere", "/nowhere: no such file or directory"},
		{"/nowhere", one, "/nowhere: no such file or directory"},
		{dir, one, dir + ": is a directory"},
	} {
		if _, err := filewatch.LoadPair(tt.first, tt.second, parsePair); err == nil || err.Error() != tt.want {
			t.Errorf("LoadPair: %v, want %q", err, tt.want)
		}
	}
}

// step is something that happens to files, and what must come of it.
type step struct {
	what     string
	change   func()
	wantWord string
	wantTold string
}

// stale is whether what is in the files then is not in use. A file that is told of
// once stays bad until the next news, but for those that are back as they were.
func (s step) stale() bool {
	switch s.what {
	case "a new one, of which one is missing":
		return true
	default:
		return s.wantTold != "" && s.wantTold != "ok"
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "word")
	write(t, path, "one\n")
	load := func() (*filewatch.File[string], error) { return filewatch.Load(path, parseWord) }
	testWatch(t, load, []step{
		{"nothing", func() {}, "one", ""},
		{"a new word", func() { write(t, path, "two") }, "two", "ok"},
		{"the same word", func() { write(t, path, "two") }, "two", ""},
		{"a bad file keeps the old word", func() { write(t, path, " ") }, "two", path + ": it is empty"},
		{"a good one again", func() { write(t, path, "three") }, "three", "ok"},
		{"no file keeps the old word", func() { _ = os.Remove(path) }, "three", path + ": no such file or directory"},
		{"the same file back", func() { write(t, path, "three") }, "three", ""},
		{"another file", func() { write(t, path, "four") }, "four", "ok"},
	})
}

// Two files are never replaced at once. What stands in between keeps the old pair,
// whichever of them comes first.
func TestWatchPair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, first, "one")
	write(t, second, "one")
	load := func() (*filewatch.File[string], error) { return filewatch.LoadPair(first, second, parsePair) }
	apart := first + " and " + second + ": they do not belong together"
	testWatch(t, load, []step{
		{"nothing", func() {}, "one", ""},
		{"the first alone", func() { write(t, first, "two") }, "one", apart},
		{"the second after it", func() { write(t, second, "two") }, "two", "ok"},
		{"the second alone", func() { write(t, second, "three") }, "two", apart},
		{"the first after it", func() { write(t, first, "three") }, "three", "ok"},
		{"both between two looks", func() { write(t, first, "four"); write(t, second, "four") }, "four", "ok"},
		{"the first alone, and then another", func() { write(t, first, "five") }, "four", apart},
		{"which does not belong there either", func() { write(t, first, "six") }, "four", apart},
		{"the old one back", func() { write(t, first, "four") }, "four", "ok"},
		{"one is removed", func() { _ = os.Remove(second) }, "four", second + ": no such file or directory"},
		{"the other one too", func() { _ = os.Remove(first) }, "four", first + ": no such file or directory"},
		{"a new one, of which one is missing", func() { write(t, second, "seven") }, "four", ""},
		{"which comes", func() { write(t, first, "seven") }, "seven", "ok"},
		{"both are bad", func() { write(t, first, ""); write(t, second, "") }, "seven", first + " and " + second + ": it is empty"},
	})
}

// testWatch takes a file that is loaded with load through the steps.
func testWatch(t *testing.T, load func() (*filewatch.File[string], error), steps []step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := load()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(chan string, 10)
		go f.Watch(ctx, time.Second, func(err error) {
			if err == nil {
				told <- "ok"
				return
			}
			told <- err.Error()
		})
		for _, step := range steps {
			step.change()
			// Several looks, so that what is told once is not told again.
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if got := f.Stale(); got != step.stale() {
				t.Errorf("%s: stale is %v", step.what, got)
			}
			if got := f.Get(); got != step.wantWord {
				t.Errorf("%s: %q, want %q", step.what, got, step.wantWord)
			}
			var got []string
			for len(told) > 0 {
				got = append(got, <-told)
			}
			if got := strings.Join(got, ", "); got != step.wantTold {
				t.Errorf("%s: told %q, want %q", step.what, got, step.wantTold)
			}
		}
	})
}
