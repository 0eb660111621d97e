// Package filewatch reloads files that operators replace while the program runs: keys,
// certificates and lists.
//
// Programs poll: they call Reload every second or so, instead of waiting for events of the
// kernel. Polling also notices the renamed symbolic links by which Kubernetes replaces a
// mounted Secret, and works on file systems that send no events.
package filewatch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// File is a value that is parsed from a file, or from several files that belong together. It is
// safe for concurrent use.
type File[T any] struct {
	paths    []string
	parse    func(contents [][]byte) (T, error)
	mu       sync.Mutex // held by Reload
	contents [][]byte   // of the value in use
	lastErr  string     // the text of the last Reload's error
	value    atomic.Pointer[T]
	stale    atomic.Bool
}

// Load reads and parses a file. The errors of parse must not quote the content, which may be
// secret.
func Load[T any](path string, parse func(content []byte) (T, error)) (*File[T], error) {
	return load([]string{path}, func(contents [][]byte) (T, error) { return parse(contents[0]) })
}

// LoadPair reads and parses two files that belong together, such as a certificate and its key.
// Two files cannot be replaced at the same instant. While they do not match, the old value
// stays, and Reload may report the mismatch.
func LoadPair[T any](first, second string, parse func(first, second []byte) (T, error)) (*File[T], error) {
	return load([]string{first, second}, func(contents [][]byte) (T, error) { return parse(contents[0], contents[1]) })
}

func load[T any](paths []string, parse func(contents [][]byte) (T, error)) (*File[T], error) {
	f := &File[T]{paths: paths, parse: parse}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Get returns the newest valid value.
func (f *File[T]) Get() T { return *f.value.Load() }

// Stale reports whether the value differs from the files, because they could not be read or
// parsed at the last Reload.
func (f *File[T]) Stale() bool { return f.stale.Load() }

// Reload reads the files, and replaces the value if their contents have changed and are
// valid. err is set as long as the files are unreadable or invalid. news reports whether there
// is a new value, or err differs from that of the last Reload.
func (f *File[T]) Reload() (news bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		text := ""
		if err != nil {
			text = err.Error()
		}
		news = news || text != f.lastErr
		f.lastErr = text
		f.stale.Store(err != nil)
	}()
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = read(path, f.contents != nil); err != nil {
			// The error below names the path already.
			if pathErr, ok := errors.AsType[*os.PathError](err); ok {
				err = pathErr.Err
			}
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	if f.contents != nil && slices.EqualFunc(contents, f.contents, bytes.Equal) {
		return false, nil
	}
	// Invalid contents are parsed again each time: a certificate may become valid.
	value, err := f.parse(contents)
	if err != nil {
		return false, fmt.Errorf("%s: %w", strings.Join(f.paths, " and "), err)
	}
	f.contents = contents
	f.value.Store(&value)
	return true, nil
}

// maxSize is far above the size of a list of CAs. A larger file is a mistake.
const maxSize = 1 << 20

// read reads a file. A reload accepts only a regular file: reading a named pipe could block
// forever. At the start others are useful: a shell's <(command) is a pipe, which has its
// content once.
func read(path string, reload bool) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, syscall.EISDIR
	case reload && !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if len(content) > maxSize {
		return nil, fmt.Errorf("is larger than %d bytes", maxSize)
	}
	return content, err
}
