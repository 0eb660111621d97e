package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// list is a list that was read.
type list struct {
	lines []bulk.Line
	// readErr is why it was not read to its end.
	readErr error
	// path is "" for standard input.
	path string
	// before is the file as it was before it was read; nil where there is none.
	before os.FileInfo
}

// readList reads the list, which may be standard input, into memory.
func (c *revokeCmd) readList(ctx context.Context, std streams) (*list, error) {
	if c.File == stdinName {
		if _, ok := terminalOf(std.in); ok {
			return nil, &usageError{[]string{"--file - reads a pipe, and standard input is a terminal"}}
		}
		l := &list{}
		if redirected, ok := std.in.(*os.File); ok {
			l.before, _ = redirected.Stat()
		}
		return l.read(ctx, std.in)
	}
	file, err := openInput(ctx, c.File)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	defer file.Close()
	before, err := file.Stat()
	if err == nil && before.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, fmt.Errorf("--file %s: %w", c.File, err)
	}
	return (&list{path: string(c.File), before: before}).read(ctx, file)
}

func (l *list) read(ctx context.Context, in io.Reader) (*list, error) {
	return orInterrupted(ctx, func() (*list, error) {
		lines, err := tokenlist.Read(in)
		l.lines, l.readErr = bulk.NewLines(lines), err
		return l, nil
	})
}

// is reports whether a path leads to the list.
func (l *list) is(path string) bool { return l.before != nil && isFile(path, l.before) }

// kept reports whether the list is an ordinary file, which the same command reads again.
func (l *list) kept() bool { return l.path != "" && l.before.Mode().IsRegular() }

var errListChanged = errors.New("the list was changed after it was read")

// changed returns an error if the list may have tokens by now that were not read. A list
// that is gone has none.
func (l *list) changed() error {
	if !l.kept() {
		return nil
	}
	now, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the list may have been changed: %w", err)
	case !os.SameFile(now, l.before), now.Size() != l.before.Size(), !now.ModTime().Equal(l.before.ModTime()):
		return errListChanged
	}
	return nil
}

// openJournal opens the journal.
func (c *revokeCmd) openJournal(list *list) (*bulk.Journal, error) {
	path := c.journalPath(list)
	if list.is(path) {
		return nil, &usageError{[]string{"--journal is the list itself: name another file"}}
	}
	if list.is(string(c.Report)) {
		return nil, &usageError{[]string{"--report is the list itself: name another file"}}
	}
	terms := bulk.Terms{Addr: c.Addr, Consistency: c.Consistency.String(), AllowInvalid: c.AllowInvalid}
	journal, err := bulk.OpenJournal(path, terms, bulk.LastLine(list.lines))
	if c.Journal == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return nil, fmt.Errorf("%w; --journal names another place for it", err)
	}
	return journal, err
}

// journalPath is "" for a run that cannot be gone on with: the list cannot be read again.
func (c *revokeCmd) journalPath(list *list) string {
	if c.Journal == "" && list.kept() {
		return string(c.File) + ".journal"
	}
	return string(c.Journal)
}

// checkReport finds out whether the report can be written, before all the work. The files
// that it must not take the place of are there by now.
func (c *revokeCmd) checkReport(list *list) error {
	if c.Report == "" {
		return nil
	}
	if journal := c.journalPath(list); journal != "" {
		for _, path := range []string{journal, bulk.KeyPath(journal)} {
			if info, err := os.Stat(path); err == nil && isFile(string(c.Report), info) {
				return &usageError{[]string{"--report is the journal, or its key: name another file"}}
			}
		}
	}
	if err := bulk.CanWriteFile(string(c.Report)); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

// isFile reports whether a path leads to a file.
func isFile(path string, file os.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, file)
}
