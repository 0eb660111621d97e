package main

import (
	"os"
	"path/filepath"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// heldQuash is a quash that holds the first call until it is released.
type heldQuash struct {
	revoking

	reached, released chan struct{}
}

func newHeldQuash() *heldQuash {
	return &heldQuash{reached: make(chan struct{}, 1), released: make(chan struct{})}
}

func (h *heldQuash) revoke(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	select {
	case h.reached <- struct{}{}:
		<-h.released
	default:
	}
	return h.revoking.revoke(req)
}

// A list of which a part may not have been read is not done. The same command does the
// rest.
func TestRevokeListThatIsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	lines := leaked(1) + "\n" + leaked(2) + "\n"
	more := lines + leaked(3) + "\n"
	for name, c := range map[string]struct {
		change   func(t *testing.T, path string)
		complete bool
		sent     int // in the end
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
			quash := newHeldQuash()
			addr := startAnswering(t, quash.revoke)
			path := filepath.Join(t.TempDir(), "list")
			fill(t, path, lines)
			args := []string{"--addr", addr, "--file", path}
			ends := make(chan ended)
			go func() { ends <- revoke(t, "", args...) }()
			<-quash.reached
			c.change(t, path)
			close(quash.released)
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
			if sent := len(quash.tokens()); sent != c.sent {
				t.Errorf("%d tokens were sent, want %d", sent, c.sent)
			}
		})
	}
}

func TestRevokeListTwiceAtOnce(t *testing.T) {
	t.Parallel()
	quash := newHeldQuash()
	addr := startAnswering(t, quash.revoke)
	path := filepath.Join(t.TempDir(), "list")
	fill(t, path, leaked(1))
	args := []string{"--addr", addr, "--file", path}
	ends := make(chan ended)
	go func() { ends <- revoke(t, "", args...) }()
	<-quash.reached
	want := ended{exitFailure, "", "quash: the journal " + path + ".journal cannot be used: another run has it open: wait for that to end, or name another journal\n"}
	if got := revoke(t, "", args...); got != want {
		t.Errorf("the second one ended with %+v\nwant %+v", got, want)
	}
	close(quash.released)
	if got := <-ends; got.code != exitOK {
		t.Errorf("the first one ended with %+v", got)
	}
}
