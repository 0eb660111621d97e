package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// Results returns what became of each line that is not empty, in their order. A line
// that is on its way is Unknown. When reading fails the sequence ends, and Err says why.
func (j *Journal) Results() iter.Seq2[int64, Result] {
	return func(yield func(int64, Result) bool) {
		if err := j.scan(yield); err != nil {
			j.readFailure.Store(&err)
		}
	}
}

// Err returns why Results ended early, nil if it did not.
func (j *Journal) Err() error {
	if err := j.readFailure.Load(); err != nil {
		return *err
	}
	return nil
}

// Counts returns how many lines there are of each Verdict. A line that is on its way
// counts as what it was before.
func (j *Journal) Counts() Counts {
	var counts Counts
	for verdict := range counts {
		counts[verdict] = j.counts[verdict].Load()
	}
	return counts
}

// count counts the lines of an earlier run.
func (j *Journal) count() error {
	return j.scan(func(line int64, r Result) bool { // an empty line is never the last
		j.counts[r.Verdict].Add(1)
		j.last.Store(line)
		return true
	})
}

// scan reads the journal from its beginning to its end.
func (j *Journal) scan(yield func(int64, Result) bool) error {
	const atOnce = 2048
	block := make([]byte, atOnce*recordSize)
	for line := int64(1); ; line += atOnce {
		n, err := j.readBlock(block, offsetOf(line))
		if err != nil {
			return err
		}
		clear(block[n:]) // the last record may have been cut short
		for at := 0; at < n; at += recordSize {
			number := line + int64(at/recordSize)
			r, found := decode(number, [recordSize]byte(block[at:]))
			if found != absent && r.result.Verdict != Empty && !yield(number, r.standing()) {
				return nil
			}
		}
		if n < len(block) {
			return nil
		}
	}
}

// readBlock reads records while none is written, for a write may be seen by halves.
func (j *Journal) readBlock(block []byte, offset int64) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.file.ReadAt(block, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("the journal %s cannot be read: %w", j.path, err)
	}
	return n, nil
}
