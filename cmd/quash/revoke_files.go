package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// list is a list of tokens, after it was read.
type list struct {
	lines []bulk.Line
	// readErr is the error that ended reading early.
	readErr error
	// path is "" for standard input.
	path string
	// before describes the file before it was read; nil if the input is not a file.
	before os.FileInfo
}

// readList reads the list, from a file or standard input, into memory.
func (c *revokeCmd) readList(ctx context.Context, std streams) (*list, error) {
	if _, ok := terminalOf(std.in); ok && c.File == stdinName {
		return nil, usageErrorf("--file -: standard input is a terminal; pipe the list to it, or name a file")
	}
	return orInterrupted(ctx, func() (*list, error) {
		l, in := &list{}, std.in
		if c.File != stdinName {
			file, err := os.Open(string(c.File))
			if err != nil {
				return nil, fmt.Errorf("--file: %w", err)
			}
			defer file.Close()
			l.path, in = file.Name(), file
		}
		if file, ok := in.(*os.File); ok {
			l.before, _ = file.Stat()
		}
		if l.before != nil && l.before.IsDir() {
			return nil, fmt.Errorf("--file %s: it is a directory", c.File)
		}
		lines, err := tokenlist.Read(in)
		l.lines, l.readErr = bulk.NewLines(lines), err
		return l, nil
	})
}

// kept reports whether the list is a regular file, which a later run can read again.
func (l *list) kept() bool { return l.path != "" && l.before != nil && l.before.Mode().IsRegular() }

// changed returns an error if the list may have tokens that this run did not read. A list that
// was deleted has no such tokens.
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
		return errors.New("the list was changed after it was read")
	}
	return nil
}

// openFiles opens the journal, and checks that the report can be written, before any token is
// sent. It rejects names by which one file would overwrite another.
func (c *revokeCmd) openFiles(list *list) (*bulk.Journal, error) {
	path, report := c.journalPath(list), string(c.Report)
	switch {
	case isFile(path, list.before):
		return nil, usageErrorf("--journal is the list itself: name another file")
	case isFile(report, list.before):
		return nil, usageErrorf("--report is the list itself: name another file")
	}
	terms := bulk.Terms{Addr: c.Addr, Consistency: c.Consistency, AllowInvalid: c.AllowInvalid}
	journal, err := bulk.OpenJournal(path, terms, bulk.LastLine(list.lines))
	if c.Journal == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		err = fmt.Errorf("%w; set --journal to write it elsewhere", err)
	}
	if err != nil || report == "" {
		return journal, err
	}
	for _, own := range []string{path, bulk.KeyPath(path)} { // OpenJournal has created them
		if info, err := os.Stat(own); err == nil && isFile(report, info) {
			return nil, errors.Join(usageErrorf("--report is the journal or its key: name another file"), journal.Close())
		}
	}
	if err := bulk.CanWriteFile(report); err != nil {
		return nil, errors.Join(fmt.Errorf("--report: %w", err), journal.Close())
	}
	return journal, nil
}

// journalPath returns "" for a run that cannot be resumed because its list cannot be read again.
func (c *revokeCmd) journalPath(list *list) string {
	if c.Journal == "" && list.kept() {
		return string(c.File) + ".journal"
	}
	return string(c.Journal)
}

// isFile reports whether path refers to file, also through a link.
func isFile(path string, file os.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && file != nil && os.SameFile(info, file)
}
