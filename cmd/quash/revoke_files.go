package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/quashdev/quash/internal/bulk"
	"github.com/quashdev/quash/internal/bulk/journal"
)

// openFiles opens the journal, once it is sure that the report can be written, and that
// neither takes the place of something else.
func (c *revokeCmd) openFiles(list *openedList) (*journal.Journal, error) {
	if err := c.checkFiles(list); err != nil {
		return nil, err
	}
	notes, err := journal.Open(c.journalPath(list))
	if c.Journal == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return nil, fmt.Errorf("%w; --journal names another place for it", err)
	}
	return notes, err
}

// journalPath is "" for a journal that is gone with the process: what is no ordinary file
// cannot be read again.
func (c *revokeCmd) journalPath(list *openedList) string {
	if c.Journal == "" && list.named() {
		return string(c.File) + ".journal"
	}
	return string(c.Journal)
}

// terms are what makes a token of the list dead in the eyes of a run. What another
// quash has done, or up to another consistency, is not done.
func (c *revokeCmd) terms() string {
	terms := fmt.Sprintf("--addr %s --consistency %s", c.Addr, c.Consistency)
	if c.AllowInvalid {
		terms += " --allow-invalid"
	}
	return terms
}

// checkFiles sees to it that nothing is written over the list or the journal.
func (c *revokeCmd) checkFiles(list *openedList) error {
	journalPath := c.journalPath(list)
	if list.is(journalPath) {
		return &usageError{[]string{"--journal is the list itself: name another file"}}
	}
	if c.Report == "" {
		return nil
	}
	if list.is(string(c.Report)) {
		return &usageError{[]string{"--report is the list itself: name another file"}}
	}
	if journalPath != "" && (sameFile(string(c.Report), journalPath) || sameFile(string(c.Report), journal.KeyPath(journalPath))) {
		return &usageError{[]string{"--report is the journal, or its key: name another file"}}
	}
	// Not after all the work.
	if err := bulk.CanWriteFile(string(c.Report)); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

// is reports whether a path leads to the list.
func (l *openedList) is(path string) bool {
	info, err := os.Stat(path)
	return err == nil && l.before != nil && os.SameFile(info, l.before)
}

// sameFile reports whether two paths lead to the same file, be it there or not.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	return place(a) == place(b)
}

// place is where a file is, or would be.
func place(path string) string {
	dir, name := filepath.Split(path)
	if dir, err := filepath.Abs(dir); err == nil {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			dir = resolved
		}
		return filepath.Join(dir, name)
	}
	return filepath.Clean(path)
}
