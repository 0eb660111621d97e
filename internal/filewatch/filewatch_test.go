package filewatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quashdev/quash/internal/filewatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	for _, tt := range []struct{ first, second, want string }{
		{"/nowhere", "", "/nowhere: no such file or directory"},
		{dir, "", dir + ": is a directory"},
		{empty, "", empty + ": it is empty"},
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
func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	const missing = ": no such file or directory"
	apart := first + " and " + second + ": they do not belong together"
	type contents struct{ first, second string } // "-" removes the file
	synctest.Test(t, func(t *testing.T) {
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
		reports := make(chan error, 10)
		go f.Watch(t.Context(), time.Second, func(err error) { reports <- err })
		for _, step := range []struct {
			name string
			contents
			value string
			// report is what Watch reports: "<nil>" for a new value, "" for nothing.
			report string
			stale  bool
		}{
			{"nothing new", contents{"one", "one"}, "one", "", false},
			{"the first alone", contents{"two", "one"}, "one", apart, true},
			{"the second after it", contents{"two", "two"}, "two", "<nil>", false},
			{"both between two polls", contents{"three", "three"}, "three", "<nil>", false},
			{"the second alone", contents{"three", "four"}, "three", apart, true},
			{"the old pair again", contents{"three", "three"}, "three", "<nil>", false},
			{"a bad pair", contents{"", ""}, "three", first + " and " + second + ": it is empty", true},
			{"a good pair", contents{"four", "four"}, "four", "<nil>", false},
			{"one file removed", contents{"four", "-"}, "four", second + missing, true},
			{"the other too", contents{"-", "-"}, "four", first + missing, true},
			{"the same files back", contents{"four", "four"}, "four", "", false},
		} {
			put(first, step.first)
			put(second, step.second)
			time.Sleep(5 * time.Second) // several polls
			synctest.Wait()
			if got := f.Get(); got != step.value {
				t.Errorf("%s: the value is %q, want %q", step.name, got, step.value)
			}
			if got := f.Stale(); got != step.stale {
				t.Errorf("%s: stale is %t", step.name, got)
			}
			var got []string
			for len(reports) > 0 {
				got = append(got, fmt.Sprint(<-reports))
			}
			if got := strings.Join(got, ", "); got != step.report {
				t.Errorf("%s: reported %q, want %q", step.name, got, step.report)
			}
		}
	})
}
