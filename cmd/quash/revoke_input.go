package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// terminalLine is how many characters a terminal takes in a line. What is pasted beyond
// is dropped without a word.
const terminalLine = 4095

// readToken reads the one token.
func (c *revokeCmd) readToken(std streams) (string, error) {
	if c.TokenFile != "" {
		file, err := os.Open(string(c.TokenFile))
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer file.Close()
		return onlyToken(file, fmt.Sprintf("--token-file %s", c.TokenFile))
	}
	if terminal, ok := terminalOf(std.in); ok {
		return askForToken(terminal, std.err)
	}
	return onlyToken(std.in, "standard input")
}

// onlyToken reads a list that must have one token. from names it.
func onlyToken(r io.Reader, from string) (string, error) {
	list := tokenlist.New(r)
	line, err := list.Next()
	switch {
	case errors.Is(err, io.EOF):
		return "", &usageError{[]string{from + " has no token"}}
	case err != nil:
		return "", fmt.Errorf("read %s: %w", from, err)
	case line.Problem != "":
		return "", &usageError{[]string{fmt.Sprintf("%s: line %d %s", from, line.Number, line.Problem)}}
	}
	if _, err := list.Next(); !errors.Is(err, io.EOF) {
		return "", &usageError{[]string{from + " has more than one line: --file is for lists"}}
	}
	return line.Token, nil
}

// askForToken has somebody paste it, without showing it.
func askForToken(terminal *os.File, w io.Writer) (string, error) {
	fmt.Fprintf(w, "Paste the token and press Enter (it is not shown): ")
	text, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(w)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if len(text) >= terminalLine {
		return "", &usageError{[]string{fmt.Sprintf("a terminal takes %d characters at a time, and so not the whole token: use --token-file", terminalLine)}}
	}
	return onlyToken(bytes.NewReader(text), "the terminal")
}

// terminalOf reports whether somebody sits at the other end of a stream.
func terminalOf(stream any) (*os.File, bool) {
	file, ok := stream.(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}
