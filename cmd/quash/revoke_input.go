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

// terminalLine is how many characters a terminal takes in a line. It silently drops what is
// pasted beyond.
const terminalLine = 4095

// maxOneToken is how much is read of what should be one token: more than any line has.
const maxOneToken = 128 << 10

// readToken reads the one token.
func (c *revokeCmd) readToken(ctx context.Context, std streams) (string, error) {
	if c.TokenFile != "" {
		file, err := openInput(ctx, c.TokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		return orInterrupted(ctx, func() (string, error) {
			return onlyToken(file, fmt.Sprintf("--token-file %s", c.TokenFile))
		})
	}
	if terminal, ok := terminalOf(std.in); ok {
		return askForToken(ctx, terminal, std.err)
	}
	return orInterrupted(ctx, func() (string, error) { return onlyToken(std.in, "standard input") })
}

var errInterrupted = errors.New("it was interrupted, and nothing was revoked")

// orInterrupted is what read returns, unless ctx ends before: a terminal or a pipe may
// never say anything, and reading it cannot be cancelled.
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

// openInput opens a file to be read. Opening a named pipe waits for its writer.
func openInput(ctx context.Context, name fileName) (*os.File, error) {
	return orInterrupted(ctx, func() (*os.File, error) { return os.Open(string(name)) })
}

// onlyToken reads a list that must have one token. from names it.
func onlyToken(r io.Reader, from string) (string, error) {
	lines, err := tokenlist.Read(io.LimitReader(r, maxOneToken))
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", from, err)
	case len(lines) == 0:
		return "", &usageError{[]string{from + " has no token"}}
	case lines[0].Problem != "":
		return "", &usageError{[]string{fmt.Sprintf("%s: line %d %s", from, lines[0].Number, lines[0].Problem)}}
	case len(lines) > 1:
		return "", &usageError{[]string{from + " has more than one line: --file is for lists"}}
	}
	return lines[0].Token, nil
}

// askForToken asks the user to paste the token, without showing it.
func askForToken(ctx context.Context, terminal *os.File, w io.Writer) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }() // which shows again what is typed
	fmt.Fprintf(w, "Paste the token and press Enter (it is not shown): ")
	text, err := orInterrupted(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(w)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if len(text) >= terminalLine {
		return "", &usageError{[]string{fmt.Sprintf("a terminal takes %d characters at a time, and so not the whole token: use --token-file", terminalLine)}}
	}
	return onlyToken(bytes.NewReader(text), "the terminal")
}

// terminalOf reports whether a stream is a terminal.
func terminalOf(stream any) (*os.File, bool) {
	file, ok := stream.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}
