package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// KeyPath is where the key of the journal at path is.
func KeyPath(path string) string { return path + ".key" }

var errInUse = errors.New("another run has it open: wait for that to end, or name another journal")

// Open opens the journal in the file at path, or creates it, and its key beside it at
// KeyPath. Without a path it is a file without a name, that is gone with
// the process. Whatever the error is, a file that was there is left as it was.
func Open(path string) (*Journal, error) {
	if path == "" {
		return openUnnamed()
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be opened: %w", err)
	}
	j, err := openFile(f, path)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

func openFile(f *os.File, path string) (*Journal, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not an ordinary file: name another one")
	}
	if err == nil {
		err = lock(f)
	}
	if err == nil {
		info, err = f.Stat() // another run may have written to it before it was ours
	}
	if err != nil {
		return nil, fmt.Errorf("the journal %s cannot be used: %w", path, err)
	}
	j := &Journal{path: path, file: f, named: true}
	if info.Size() == 0 {
		err = j.create()
	} else {
		err = j.resume()
	}
	if err != nil {
		return nil, err
	}
	if j.index, err = newIndex(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return j, nil
}

func openUnnamed() (*Journal, error) {
	f, err := createTemp("")
	if err != nil {
		return nil, err
	}
	j := &Journal{path: f.Name(), file: f, hasher: newHasher(newKey())}
	if j.index, err = newIndex(""); err != nil {
		return nil, errors.Join(err, removeTemp(f))
	}
	return j, nil
}

// create makes an empty file a journal. The key comes first: a journal has never been
// without it.
func (j *Journal) create() error {
	key, err := createKey(j.keyPath())
	if err != nil {
		return err
	}
	j.hasher = newHasher(key)
	j.header.check = j.hasher.check()
	err = j.file.Chmod(0o600)
	if err == nil {
		err = j.writeHeader()
	}
	syncDir(filepath.Dir(j.path))
	if err != nil {
		_ = j.file.Truncate(0)
		return fmt.Errorf("the journal %s cannot be written: %w", j.path, err)
	}
	return nil
}

func (j *Journal) writeHeader() error {
	if _, err := j.file.WriteAt(j.header.encode(), 0); err != nil {
		return err
	}
	return j.file.Sync()
}

// syncDir has the names of new files outlast a power failure too. Some file systems, and
// Windows, cannot be asked for that.
func syncDir(path string) {
	dir, err := os.Open(path)
	if err != nil {
		return
	}
	_ = dir.Sync()
	_ = dir.Close()
}

// resume makes the journal of an earlier run this one's.
func (j *Journal) resume() error {
	h, err := readHeader(j.file)
	if err != nil {
		return fmt.Errorf("the journal %s cannot be used: %w", j.path, err)
	}
	key, err := readKey(j.keyPath())
	if err != nil {
		return err
	}
	j.header, j.hasher = h, newHasher(key)
	if j.hasher.check() != h.check {
		return fmt.Errorf("%s is not the key of the journal %s: put the right key back, or start over with another journal",
			j.keyPath(), j.path)
	}
	if err := j.count(); err != nil {
		return err
	}
	j.earlier = j.last.Load()
	return nil
}

func (j *Journal) keyPath() string { return KeyPath(j.path) }

// Close writes everything to disk and lets go of the file.
func (j *Journal) Close() error {
	if !j.named {
		return errors.Join(j.index.close(), removeTemp(j.file))
	}
	j.syncs.Wait()
	err := j.file.Sync()
	if err := errors.Join(err, j.file.Close(), j.index.close()); err != nil {
		return fmt.Errorf("the journal %s cannot be closed: %w", j.path, err)
	}
	return nil
}

// Resumed reports whether the journal has lines of an earlier run.
func (j *Journal) Resumed() bool { return j.earlier > 0 }

// Bind binds a new journal to the terms of its run, in words that a person knows them
// by: what makes a line done for one run and not for another, such as the consistency.
// It is an error if the run that is gone on with had other terms, or if they are longer
// than some 4,000 bytes.
func (j *Journal) Bind(terms string) error {
	switch {
	case len(terms) > maxTerms:
		return fmt.Errorf("the terms of the run have %d bytes, and %d is the most", len(terms), maxTerms)
	case j.Resumed() && j.header.terms != terms:
		return fmt.Errorf("the journal %s is that of another run (%s), not of this one (%s): "+
			"run it as it was begun, or start over with another journal", j.path, j.header.terms, terms)
	case j.Resumed():
		return nil
	}
	j.header.terms = terms
	if !j.named {
		return nil
	}
	if err := j.writeHeader(); err != nil {
		return j.writeFailed(err)
	}
	return nil
}

// syncSometimes has what was written reach the disk every second or so, beside the work:
// that takes a while. It returns what went wrong with that before.
func (j *Journal) syncSometimes() error {
	const interval = time.Second
	if err := j.syncFailure.Load(); err != nil {
		return j.writeFailed(*err)
	}
	last, now := j.syncedAt.Load(), time.Now().UnixNano()
	if !j.named || now-last < int64(interval) || !j.syncedAt.CompareAndSwap(last, now) {
		return nil
	}
	j.syncs.Go(func() {
		if err := j.file.Sync(); err != nil {
			j.syncFailure.Store(&err)
		}
	})
	return nil
}

// createTemp makes a file that is gone with the process. Where a file that is open can
// have no name, it has none from the start.
func createTemp(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".quash-revoke-*")
	if err != nil {
		return nil, fmt.Errorf("a temporary file cannot be created: %w", err)
	}
	_ = os.Remove(f.Name()) // else removeTemp does it
	return f, nil
}

func removeTemp(f *os.File) error {
	err := f.Close()
	_ = os.Remove(f.Name())
	return err
}
