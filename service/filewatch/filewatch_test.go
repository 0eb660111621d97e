package filewatch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/filewatch"
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

func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "word")
	write(t, path, "one\n")
	synctest.Test(t, func(t *testing.T) {
		f, err := filewatch.Load(path, parseWord)
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
			told <- strings.TrimPrefix(err.Error(), path+": ")
		})
		for _, step := range []struct {
			what     string
			change   func()
			wantWord string
			wantTold string
		}{
			{"nothing", func() {}, "one", ""},
			{"a new word", func() { write(t, path, "two") }, "two", "ok"},
			{"the same word", func() { write(t, path, "two") }, "two", ""},
			{"a bad file keeps the old word", func() { write(t, path, " ") }, "two", "it is empty"},
			{"a good one again", func() { write(t, path, "three") }, "three", "ok"},
			{"no file keeps the old word", func() { _ = os.Remove(path) }, "three", "no such file or directory"},
			{"the same file back", func() { write(t, path, "three") }, "three", ""},
			{"another file", func() { write(t, path, "four") }, "four", "ok"},
		} {
			step.change()
			// Several looks, so that what is told once is not told again.
			time.Sleep(5 * time.Second)
			synctest.Wait()
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
