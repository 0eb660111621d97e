package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// terminalLine is how many characters a terminal accepts in a line. It silently drops the rest
// of what is pasted.
const terminalLine = 4095

// maxOneToken limits how much input is read for one token. It is more than any line may have.
const maxOneToken = 128 << 10

// readToken reads the one token from the file, standard input or the terminal.
func (c *revokeCmd) readToken(ctx context.Context, std streams) (string, error) {
	if terminal, ok := terminalOf(std.in); ok && c.TokenFile == "" {
		return askForToken(ctx, terminal, std.err)
	}
	return orInterrupted(ctx, func() (string, error) {
		if c.TokenFile == "" {
			return onlyToken(std.in, "standard input")
		}
		file, err := os.Open(string(c.TokenFile))
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		return onlyToken(file, fmt.Sprintf("--token-file %s", c.TokenFile))
	})
}

var errInterrupted = errors.New("interrupted; nothing was revoked")

// orInterrupted returns what read returns, or errInterrupted if ctx ends first. Opening a named
// pipe, and reading from a terminal or a pipe, may block forever and cannot be cancelled.
func orInterrupted[T any](ctx context.Context, read func() (T, error)) (T, error) {
	var value T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = read()
	}()
	select {
	case <-done:
		return value, err
	case <-ctx.Done():
		var none T
		return none, errInterrupted
	}
}

// onlyToken reads a list that must have exactly one token. from names the source in errors.
func onlyToken(r io.Reader, from string) (string, error) {
	lines, err := tokenlist.Read(io.LimitReader(r, maxOneToken))
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", from, err)
	case len(lines) == 0:
		return "", usageErrorf("%s has no token", from)
	case lines[0].Problem != "":
		return "", usageErrorf("%s: line %d %s", from, lines[0].Number, lines[0].Problem)
	case len(lines) > 1:
		return "", usageErrorf("%s has more than one line: use --file for a list", from)
	}
	return lines[0].Token, nil
}

// askForToken asks the user to paste the token. The terminal does not show it.
func askForToken(ctx context.Context, terminal *os.File, w io.Writer) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }() // turns the echo on again
	fmt.Fprintf(w, "Paste the token and press Enter (it is not shown): ")
	text, err := orInterrupted(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(w)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if len(text) >= terminalLine {
		return "", usageErrorf("a terminal accepts %d characters per line, so the token is cut off: use --token-file", terminalLine)
	}
	return onlyToken(bytes.NewReader(text), "the terminal")
}

// terminalOf returns the stream as a file if it is a terminal.
func terminalOf(stream any) (*os.File, bool) {
	if file, ok := stream.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file, true
	}
	return nil, false
}
