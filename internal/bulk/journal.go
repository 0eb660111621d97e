package bulk

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	journalName    = "quash revoke"
	journalVersion = 2
	// binaryJournal is the start of journals of version 1, which were not text.
	binaryJournal = "quash revoke journal\n"
	// syncEvery is how often the file is synced to disk. A killed process loses nothing; after
	// a power failure the tokens of that time may be sent again.
	syncEvery = time.Second
)

// Terms define when a token counts as dead in a run. What another quash has done, or at another
// consistency, does not count.
type Terms struct {
	Addr         string `json:"addr"`
	Consistency  string `json:"consistency"`
	AllowInvalid bool   `json:"allow_invalid,omitempty"`
}

// String returns the terms as flags.
func (t Terms) String() string {
	flags := fmt.Sprintf("--addr %s --consistency %s", t.Addr, t.Consistency)
	if t.AllowInvalid {
		flags += " --allow-invalid"
	}
	return flags
}

// A journal is JSON Lines. The first line is a header. Each further line is a record with a
// line number of the list. It has either the hash of a token that is about to be sent, or the
// result after an answer.
type header struct {
	Journal string `json:"journal"`
	Version int    `json:"version"`
	Terms

	Lines    int64  `json:"lines"` // the last line of the list when the journal was created
	KeyCheck string `json:"key_check"`
}

type record struct {
	Line int64  `json:"line"`
	Sent string `json:"sent,omitempty"`
	Result
}

// Journal is the file that records what was done with each line, so that the next run resumes
// where this one ends, even if it is killed. Sending and Answered are safe for concurrent use.
type Journal struct {
	path    string
	file    *os.File // nil if no journal is kept
	in      *bufio.Reader
	header  header
	key     key
	resumed bool

	mu     sync.Mutex
	size   int64 // the offset after the last complete record
	synced time.Time
}

var errInUse = errors.New("another run is using it: wait until that run ends, or name another journal")

// OpenJournal opens the journal at path, or creates it, with its key in a second file at
// KeyPath. If path is "", nothing is recorded. last is the last line of the list. If
// OpenJournal fails, it does not change an existing file.
func OpenJournal(path string, terms Terms, last int64) (*Journal, error) {
	if path == "" {
		return &Journal{}, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be opened: %w", err)
	}
	j := &Journal{path: path, file: f, in: bufio.NewReader(f)}
	if err := j.open(terms, last); err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) open(terms Terms, last int64) error {
	err := j.readHeader()
	if err != nil {
		return fmt.Errorf("the journal %s cannot be used: %w", j.path, err)
	}
	if !j.resumed {
		return j.create(header{Journal: journalName, Version: journalVersion, Terms: terms, Lines: last})
	}
	if j.key, err = readKey(KeyPath(j.path)); err != nil {
		return err
	}
	if j.key.check() != j.header.KeyCheck {
		return fmt.Errorf("%s is not the key of the journal %s: restore the right key, or start over with another journal",
			KeyPath(j.path), j.path)
	}
	if j.header.Terms != terms {
		return fmt.Errorf("the journal %s belongs to another run (%s), not to this one (%s): "+
			"use the flags of that run, or start over with another journal", j.path, j.header.Terms, terms)
	}
	return nil
}

// readHeader locks the file for this process, and reads its header. It sets resumed if there are
// records after the header: a journal without records is treated as new.
func (j *Journal) readHeader() error {
	if info, err := j.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return cmp.Or(err, errors.New("it is not a regular file: name another one"))
	}
	if err := lock(j.file); err != nil {
		return err
	}
	text, err := j.in.ReadSlice('\n')
	switch {
	case len(text) == 0 && errors.Is(err, io.EOF):
		return nil
	case string(text) == binaryJournal:
		return errors.New("it has the binary format of an earlier version of quash: " +
			"finish it with the version that started it, or start over with another journal")
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
		return err
	case err != nil || json.Unmarshal(text, &j.header) != nil || j.header.Journal != journalName:
		return errors.New("it is not a quash journal, and was not changed: name another file")
	case j.header.Version != journalVersion:
		return fmt.Errorf("it has format %d, but this version of quash uses format %d: "+
			"finish it with the version that started it, or start over with another journal", j.header.Version, journalVersion)
	}
	j.size = int64(len(text))
	if _, err := j.in.Peek(1); !errors.Is(err, io.EOF) {
		j.resumed = true
		return err
	}
	return nil
}

// create writes the header of a new journal. It creates the key first, so that no journal
// exists without its key.
func (j *Journal) create(h header) (err error) {
	if j.key, err = createKey(KeyPath(j.path)); err != nil {
		return err
	}
	h.KeyCheck = j.key.check()
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	j.header, j.size = h, int64(len(text))
	_, writeErr := j.file.WriteAt(text, 0)
	if err := errors.Join(writeErr, j.file.Truncate(j.size), j.file.Chmod(0o600), j.file.Sync(), syncDir(filepath.Dir(j.path))); err != nil {
		_ = j.file.Truncate(0)
		return fmt.Errorf("the journal %s cannot be written: %w", j.path, err)
	}
	return nil
}

// syncDir syncs the names of new files to disk. Windows has no equivalent.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Resumed reports whether the journal has records of an earlier run.
func (j *Journal) Resumed() bool { return j.resumed }

// Restore sets the results of the lines to those that earlier runs have recorded. It fails if
// the list has changed. Then the lines have no results, and the journal must not be used.
func (j *Journal) Restore(lines []Line) (err error) {
	if !j.resumed {
		return nil
	}
	defer func() {
		for i := range lines {
			if err != nil && lines[i].Token != "" {
				lines[i].Result = Result{Outcome: NotAsked}
			}
		}
	}()
	last := LastLine(lines)
	earlier := j.header.Lines // the last line of the list in earlier runs
	var other int64           // the first line that differs; 0 if none does
	for n := 2; ; n++ {
		text, err := j.in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		var r record
		if errors.Is(err, bufio.ErrBufferFull) || err == nil && (json.Unmarshal(text, &r) != nil || !r.valid()) {
			return fmt.Errorf("line %d of the journal %s is damaged: restore an intact copy, or start over with another journal", n, j.path)
		}
		if err != nil {
			return fmt.Errorf("the journal %s cannot be read: %w", j.path, err)
		}
		earlier = max(earlier, r.Line)
		if r.Line <= last && !j.restore(lines, r) && (other == 0 || r.Line < other) {
			other = r.Line
		}
		j.size += int64(len(text))
	}
	switch {
	case other > 0:
		return fmt.Errorf("line %d of the list differs from the line in the journal %s: "+
			"use the unchanged list (you may add lines at its end), or start over with another journal", other, j.path)
	case last < earlier:
		return fmt.Errorf("the list ends at line %d, but had at least %d lines in an earlier run: use the whole list, or start over with another journal", last, earlier)
	}
	return j.file.Truncate(j.size) // the last record may be incomplete
}

func (r record) valid() bool {
	return r.Line > 0 && (r.Sent != "" || slices.Contains(outcomes, r.Outcome))
}

// restore sets the result of the line that the record is about. It reports whether the line
// still has the token of the record.
func (j *Journal) restore(lines []Line, r record) bool {
	i, found := slices.BinarySearchFunc(lines, r.Line, func(l Line, number int64) int { return cmp.Compare(l.Number, number) })
	switch {
	case !found || lines[i].First != nil: // duplicates are never sent, so they have no records
		return false
	case r.Sent == "":
		lines[i].Result = r.Result
		return true
	}
	lines[i].Result = lines[i].Result.sent()
	return r.Sent == j.key.hash(lines[i].Token)
}

// Sending records that a token is about to be sent. From then on it may be dead.
func (j *Journal) Sending(line *Line) error {
	if j.file == nil {
		return nil
	}
	return j.write(record{Line: line.Number, Sent: j.key.hash(line.Token)})
}

// Answered records the result of a line.
func (j *Journal) Answered(line *Line) error {
	if j.file == nil {
		return nil
	}
	return j.write(record{Line: line.Number, Result: line.Result})
}

// write appends a record. After a failed write, the next record overwrites the incomplete one.
func (j *Journal) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.file.WriteAt(append(text, '\n'), j.size)
	if err == nil {
		j.size += int64(n)
		if now := time.Now(); now.Sub(j.synced) >= syncEvery {
			j.synced = now
			err = j.file.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("the journal %s cannot be written: %w: nothing is lost; fix the cause, "+
			"and run the same command again to continue", j.path, err)
	}
	return nil
}

// Close writes everything to disk and releases the file.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	if err := errors.Join(j.file.Sync(), j.file.Close()); err != nil {
		return fmt.Errorf("the journal %s cannot be closed: %w", j.path, err)
	}
	return nil
}
