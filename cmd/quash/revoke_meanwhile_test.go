package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// heldQuash is a quash that holds the first call until it is released, and rejects what is
// no whole token.
type heldQuash struct {
	revoking

	reached, released chan struct{}
}

func newHeldQuash() *heldQuash {
	return &heldQuash{reached: make(chan struct{}, 1), released: make(chan struct{})}
}

func (h *heldQuash) revokeWhole(t *testing.T) func(*quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	t.Helper()
	return func(req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
		select {
		case h.reached <- struct{}{}:
			<-h.released
		default:
		}
		if len(req.GetToken()) < len(leaked(0)) {
			return nil, answerNamed(t, "TOKEN_REJECTED")
		}
		return h.revoke(req)
	}
}

// What is done to a list while it is read, of which the reader has a small part by then,
// and what the same command makes of it afterwards.
func TestRevokeListThatIsChangedWhileItIsRead(t *testing.T) {
	t.Parallel()
	const lines = 2000
	var all strings.Builder
	for n := range lines {
		fmt.Fprintln(&all, leaked(n))
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, path string)
		why    string // the run is incomplete, "" if it is not
		dead   int    // in the end, none of them asked about twice
	}{
		"it grows": {
			func(t *testing.T, path string) {
				t.Helper()
				fill(t, path, all.String()+leaked(lines)+"\n")
			},
			"the list was changed while it was read", lines + 1,
		},
		"it loses its end": {
			func(t *testing.T, path string) { t.Helper(); must(t, os.Truncate(path, 1000)) },
			"the list has become shorter while it was read", lines,
		},
		"it vanishes": {func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path)) }, "", lines},
		"another takes its place": {
			func(t *testing.T, path string) {
				t.Helper()
				fill(t, path+".new", all.String()+leaked(lines)+"\n")
				must(t, os.Rename(path+".new", path))
			},
			"the list was replaced while it was read", lines + 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quash := newHeldQuash()
			addr := startAnswering(t, quash.revokeWhole(t))
			path := filepath.Join(t.TempDir(), "list")
			fill(t, path, all.String())
			args := []string{"--addr", addr, "--file", path, "--concurrency", "1"}
			ends := make(chan ended)
			go func() { ends <- revoke(t, "", args...) }()
			<-quash.reached
			c.change(t, path)
			close(quash.released)
			got := <-ends
			if c.why == "" && got.code != exitOK ||
				c.why != "" && (got.code != exitIncomplete || !strings.Contains(got.stderr, "quash: "+c.why+"\n") || !strings.Contains(got.stdout, "INCOMPLETE: "+c.why)) {
				t.Errorf("it ended with %+v", got)
			}
			if c.dead == lines {
				fill(t, path, all.String())
			}
			if got := revoke(t, "", args...); got.code != exitOK {
				t.Errorf("the same command ended with %+v", got)
			}
			asked := quash.tokens()
			if whole := len(slices.Compact(slices.Clone(asked))); whole != c.dead || len(asked) != c.dead {
				t.Errorf("%d tokens were asked about in %d calls, want %d", whole, len(asked), c.dead)
			}
		})
	}
}

func TestRevokeListTwiceAtOnce(t *testing.T) {
	t.Parallel()
	quash := newHeldQuash()
	addr := startAnswering(t, quash.revokeWhole(t))
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

// Ctrl-C ends what reads the output as well. The run goes on to its end all the same.
func TestRevokeListWhenNobodyListens(t *testing.T) {
	t.Parallel()
	var quash revoking
	addr := startAnswering(t, quash.revoke)
	dir := t.TempDir()
	list, report := filepath.Join(dir, "list"), filepath.Join(dir, "report.json")
	fill(t, list, "no token\n"+leaked(1)+"\n")
	p := newProcess([]string{"quash", "revoke", "--addr", addr, "--file", list, "--report", report})
	r, w, err := os.Pipe()
	must(t, err)
	must(t, r.Close())
	p.cmd.Stdout, p.cmd.Stderr = w, w
	must(t, p.start())
	must(t, w.Close())
	<-p.ended
	if p.fate() != strconv.Itoa(exitIncomplete) || !strings.Contains(contents(t, report), `"complete": true`) || len(quash.tokens()) != 1 {
		t.Errorf("it ended with %s, having asked about %d tokens", p.fate(), len(quash.tokens()))
	}
}
