package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Ctrl-C ends the command while it waits for a pipe.
func TestRevokeInterruptedWhileItReads(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]func(t *testing.T) []string{
		"a pipe": func(*testing.T) []string { return nil },
		"a named pipe with a token": func(t *testing.T) []string {
			t.Helper()
			return []string{"--token-file", namedPipe(t)}
		},
		"a named pipe with a list": func(t *testing.T) []string {
			t.Helper()
			return []string{"--file", namedPipe(t), "--journal", filepath.Join(t.TempDir(), "journal")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent, writer := io.Pipe()
			t.Cleanup(func() { _ = writer.Close() })
			ctx, interrupt := context.WithCancel(t.Context())
			in := readerFunc(func(p []byte) (int, error) {
				interrupt()
				return silent.Read(p)
			})
			if name != "a pipe" {
				interrupt()
			}
			var stdout, stderr strings.Builder
			code := run(ctx, append([]string{"revoke", "--addr", "127.0.0.1:1"}, args(t)...), streams{in: in, out: &stdout, err: &stderr})
			if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), errInterrupted.Error()) {
				t.Errorf("it ended with %d, and said:\n%s%s", code, &stdout, &stderr)
			}
		})
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// namedPipe creates a named pipe without a writer.
func namedPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(path, 0o600))
	t.Cleanup(func() { // the goroutine that opens the pipe must not wait forever
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, os.Remove(path))
		must(t, unix.Close(fd))
	})
	return path
}

// openTerminal opens a terminal, and returns its ends for the user and for a command.
func openTerminal(t *testing.T) (user, terminal *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %s", err)
	}
	t.Cleanup(func() { _ = user.Close() })
	must(t, unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return user, terminal
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Error(err)
		return false
	}
	return state.Lflag&unix.ECHO != 0
}

// Ctrl-C before a token is pasted ends the command, and turns the echo of the terminal on
// again.
func TestRevokeInterruptedAtTheTerminal(t *testing.T) {
	t.Parallel()
	_, terminal := openTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for echoes(t, terminal) { // until the command waits for input
			runtime.Gosched()
		}
		interrupt()
	}()
	var stdout strings.Builder
	code := run(ctx, []string{"revoke", "--addr", "127.0.0.1:1"}, streams{in: terminal, out: &stdout, err: io.Discard})
	if code != exitFailure || stdout.Len() > 0 {
		t.Errorf("it ended with %d, and said %q", code, &stdout)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal does not show what is typed")
	}
}
