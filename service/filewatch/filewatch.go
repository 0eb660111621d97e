// Package filewatch keeps what is read from a file up to date: keys, certificates
// and lists that somebody replaces while the program runs.
//
// It looks at the file's content every now and then instead of asking the kernel
// for events: that also notices the renamed symbolic links by which Kubernetes
// replaces a mounted Secret, and works on file systems that send no events.
package filewatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// File is a value that was parsed from a file. It is safe for concurrent use.
type File[T any] struct {
	path    string
	parse   func([]byte) (T, error)
	content []byte // as it was last looked at, good or not; Watch's own
	value   atomic.Pointer[T]
}

// Load reads a file, and parses it for the first time. parse's errors must not
// quote the content, which may be secret.
func Load[T any](path string, parse func(content []byte) (T, error)) (*File[T], error) {
	f := &File[T]{path: path, parse: parse}
	if _, err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Get returns the newest value that could be parsed.
func (f *File[T]) Get() T { return *f.value.Load() }

// Watch looks at the file every interval until ctx ends. It calls changed, one
// call at a time, with nil after each new value, and with the error each time the
// file turns bad; the value stays what it was then.
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

// reload reads the file, and reports whether its content has changed since the
// last time.
func (f *File[T]) reload() (news bool, err error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		// The path stands in front already.
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			err = pathErr.Err
		}
		return false, fmt.Errorf("%s: %w", f.path, err)
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		return false, nil
	}
	f.content = content
	value, err := f.parse(content)
	if err != nil {
		return true, fmt.Errorf("%s: %w", f.path, err)
	}
	f.value.Store(&value)
	return true, nil
}
