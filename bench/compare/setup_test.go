package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// quashFolder is where quash is, once a test has wanted it.
var quashFolder string

// quashBinary builds quash when a test first wants it.
var quashBinary = sync.OnceValues(func() (path string, err error) {
	if quashFolder, err = os.MkdirTemp("", "quash-compare-"); err != nil {
		return "", err
	}
	path = filepath.Join(quashFolder, "quash")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/quash")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// newTestSetup is for a run without a quash.
func newTestSetup(t *testing.T, builds ...build) *setup {
	t.Helper()
	s, err := newSetup(t.Context(), builds, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.tmp); !os.IsNotExist(err) {
			t.Errorf("%s is left behind", s.tmp)
		}
	})
	return s
}

// newQuashSetup is for a run with two quashes, which are the same.
func newQuashSetup(t *testing.T) *setup {
	t.Helper()
	path, err := quashBinary()
	if err != nil {
		t.Fatal(err)
	}
	return newTestSetup(t, build{quashName, path}, build{baselineName, path})
}

func TestSetup(t *testing.T) {
	t.Parallel()
	if _, err := newSetup(t.Context(), []build{{quashName, filepath.Join(t.TempDir(), "quash")}}, io.Discard); err == nil {
		t.Error("there is no such quash")
	}
	s := newTestSetup(t)
	for _, path := range []string{s.certFile, s.keyFile, s.apiKeyFile} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
