// Package filewatch reloads files that operators replace while the program runs: keys,
// certificates and lists.
//
// It polls the content of the files instead of using events of the kernel. Polling also
// notices the renamed symbolic links by which Kubernetes replaces a mounted Secret, and works
// on file systems that send no events.
package filewatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// File is a value that is parsed from a file, or from several files that belong together. It is
// safe for concurrent use.
type File[T any] struct {
	paths    []string
	parse    func(contents [][]byte) (T, error)
	contents [][]byte // at the last poll, valid or not; only Watch uses it
	bad      bool     // whether contents could not be parsed; only Watch uses it
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
// stays, and Watch may report the mismatch.
func LoadPair[T any](first, second string, parse func(first, second []byte) (T, error)) (*File[T], error) {
	return load([]string{first, second}, func(contents [][]byte) (T, error) { return parse(contents[0], contents[1]) })
}

func load[T any](paths []string, parse func(contents [][]byte) (T, error)) (*File[T], error) {
	f := &File[T]{paths: paths, parse: parse}
	if _, err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Get returns the newest valid value.
func (f *File[T]) Get() T { return *f.value.Load() }

// Stale reports whether the value differs from the files, because they could not be read or
// parsed at the last poll.
func (f *File[T]) Stale() bool { return f.stale.Load() }

// Watch polls the files every interval until ctx ends. It calls changed, one call at a time:
// with nil after each new value, and with the error when the files become invalid or
// unreadable. In that case the old value stays.
func (f *File[T]) Watch(ctx context.Context, interval time.Duration, changed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	unreadable := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		news, err := f.reload()
		switch {
		case err == nil && news:
			changed(nil)
		case err != nil && (news || err.Error() != unreadable):
			changed(err)
		}
		unreadable = ""
		if err != nil {
			unreadable = err.Error()
		}
	}
}

// reload reads the files, and reports whether their contents have changed since the last
// poll.
func (f *File[T]) reload() (news bool, err error) {
	defer func() { f.stale.Store(f.bad || err != nil) }()
	contents := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		if contents[i], err = os.ReadFile(path); err != nil {
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
	f.contents = contents
	value, err := f.parse(contents)
	f.bad = err != nil
	if err != nil {
		return true, fmt.Errorf("%s: %w", strings.Join(f.paths, " and "), err)
	}
	f.value.Store(&value)
	return true, nil
}
