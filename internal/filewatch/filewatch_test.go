package filewatch_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/quashdev/quash/internal/filewatch"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func parseWord(content []byte) (string, error) {
	if len(content) == 0 {
		return "", errors.New("it is empty")
	}
	return string(content), nil
}

func parsePair(first, second []byte) (string, error) {
	if !bytes.Equal(first, second) {
		return "", errors.New("they do not belong together")
	}
	return parseWord(first)
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty, word := filepath.Join(dir, "empty"), filepath.Join(dir, "word")
	write(t, empty, "")
	write(t, word, "word")
	large := filepath.Join(dir, "large")
	write(t, large, "")
	if err := os.Truncate(large, 1<<20+1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ first, second, want string }{
		{"/nowhere", "", "/nowhere: no such file or directory"},
		{dir, "", dir + ": is a directory"},
		{empty, "", empty + ": it is empty"},
		{"/dev/zero", "", "/dev/zero: is larger than 1048576 bytes"},
		{large, "", large + ": is larger than 1048576 bytes"},
		{word, "/nowhere", "/nowhere: no such file or directory"},
		{word, empty, word + " and " + empty + ": they do not belong together"},
	} {
		var err error
		if tt.second == "" {
			_, err = filewatch.Load(tt.first, parseWord)
		} else {
			_, err = filewatch.LoadPair(tt.first, tt.second, parsePair)
		}
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

// The last valid value stays in use, whatever the files contain, and each change is reported
// once.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	const missing = ": no such file or directory"
	apart := first + " and " + second + ": they do not belong together"
	type contents struct{ first, second string } // "-" removes the file
	put := func(path, content string) {
		if content == "-" {
			_ = os.Remove(path)
			return
		}
		write(t, path, content)
	}
	put(first, "one")
	put(second, "one")
	f, err := filewatch.LoadPair(first, second, parsePair)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		contents
		value string
		// err is the error of every Reload, news whether the first one reports news.
		err  string
		news bool
	}{
		{"nothing new", contents{"one", "one"}, "one", "", false},
		{"the first alone", contents{"two", "one"}, "one", apart, true},
		{"the second after it", contents{"two", "two"}, "two", "", true},
		{"both at once", contents{"three", "three"}, "three", "", true},
		{"the second alone", contents{"three", "four"}, "three", apart, true},
		{"the old pair again", contents{"three", "three"}, "three", "", true},
		{"a bad pair", contents{"", ""}, "three", first + " and " + second + ": it is empty", true},
		{"a good pair", contents{"four", "four"}, "four", "", true},
		{"one file removed", contents{"four", "-"}, "four", second + missing, true},
		{"the other too", contents{"-", "-"}, "four", first + missing, true},
		{"the same files back", contents{"four", "four"}, "four", "", true},
	} {
		put(first, step.first)
		put(second, step.second)
		for n := range 3 {
			news, err := f.Reload()
			if text := fmt.Sprint(err); text != cmp.Or(step.err, "<nil>") {
				t.Errorf("%s: the error is %q, want %q", step.name, text, step.err)
			}
			if want := step.news && n == 0; news != want {
				t.Errorf("%s: Reload %d reports news %t, want %t", step.name, n, news, want)
			}
			if got := f.Get(); got != step.value {
				t.Errorf("%s: the value is %q, want %q", step.name, got, step.value)
			}
			if got, want := f.Stale(), step.err != ""; got != want {
				t.Errorf("%s: stale is %t, want %t", step.name, got, want)
			}
		}
	}
}

// Contents that are not valid yet are used as soon as they are.
func TestReloadLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	early := false
	f, err := filewatch.Load(path, func(content []byte) (string, error) {
		if early {
			return "", errors.New("is not valid yet")
		}
		return parseWord(content)
	})
	if err != nil {
		t.Fatal(err)
	}
	early = true
	write(t, path, "new")
	if _, err := f.Reload(); err == nil || f.Get() != "old" {
		t.Fatalf("got %q, %v", f.Get(), err)
	}
	early = false
	if news, err := f.Reload(); !news || err != nil || f.Get() != "new" {
		t.Errorf("got %q, %t, %v", f.Get(), news, err)
	}
}

// A pipe can be read once, at the start. A reload does not wait for its writer.
func TestPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("word"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	f, err := filewatch.Load(path, parseWord)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Reload(); f.Get() != "word" || err == nil || err.Error() != path+": is not a regular file" {
		t.Errorf("got %q, %v", f.Get(), err)
	}
}
