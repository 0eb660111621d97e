package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A run is incomplete if a part of the list may not have been read. The same command does the
// rest.
func TestRevokeListThatIsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	lines := leaked(1) + "\n" + leaked(2) + "\n"
	more := lines + leaked(3) + "\n"
	for name, c := range map[string]struct {
		change   func(t *testing.T, path string)
		complete bool
		sent     int // after the second run
	}{
		"it is left alone":        {func(*testing.T, string) {}, true, 2},
		"it grows":                {func(t *testing.T, path string) { t.Helper(); fill(t, path, more) }, false, 3},
		"it is written once more": {func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path)); fill(t, path, lines) }, false, 2},
		"it vanishes":             {func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path)) }, true, 2},
		"another takes its place": {
			func(t *testing.T, path string) {
				t.Helper()
				fill(t, path+".new", more)
				must(t, os.Rename(path+".new", path))
			},
			false, 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quash := newHaltingQuash(t)
			halted := quash.haltAfter(0)
			addr := startAnswering(t, quash.revoke)
			path := filepath.Join(t.TempDir(), "list")
			fill(t, path, lines)
			args := []string{"--addr", addr, "--file", path}
			ends := make(chan ended)
			go func() { ends <- revoke(t, "", args...) }()
			<-halted
			c.change(t, path)
			quash.resume()
			got := <-ends
			if c.complete && got.code != exitOK ||
				!c.complete && (got.code != exitIncomplete || got.stderr != "quash: the list was changed after it was read\n") {
				t.Errorf("it ended with %+v", got)
			}
			if _, err := os.Stat(path); err == nil {
				if got := revoke(t, "", args...); got.code != exitOK {
					t.Errorf("the same command ended with %+v", got)
				}
			}
			quash.check(t, c.sent, 0)
		})
	}
}
