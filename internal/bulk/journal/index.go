package journal

import (
	"encoding/binary"
	"os"
)

const (
	// A bucket is slots that are read at once.
	bucketSlots = 32
	slotSize    = 8
	bucketSize  = bucketSlots * slotSize

	// firstBuckets are those of the first level, which has 8 MiB. Each further level has
	// four times as many.
	firstBuckets = 1 << 15
	levelGrowth  = 4

	lineBits = 48
)

// index tells which line had a token first. It is a hash table in a temporary file: a
// token's bucket has the lines of tokens that belong there, with 16 bits of their hash.
// A full bucket goes on in the next one. A table that is three quarters full is left as
// it is, and a larger one is begun, so that no line ever waits for a table to be
// written anew. Of ten million lines there are three tables.
//
// Memory would not do: a map of as many lines takes hundreds of megabytes.
type index struct {
	file   *os.File
	first  uint64 // buckets of the first level
	levels []level

	bucket [bucketSize]byte // the one that is looked at
	slot   [slotSize]byte   // the one that is written
}

// level is one table.
type level struct {
	offset  int64
	buckets uint64
	used    uint64 // slots
}

func newIndex(dir string) (*index, error) {
	f, err := createTemp(dir)
	if err != nil {
		return nil, err
	}
	return &index{file: f, first: firstBuckets}, nil
}

func (x *index) close() error { return removeTemp(x.file) }

// add adds a line, unless there is one with the same token: then it returns that.
// Whether a line is one, same says.
func (x *index) add(h hash, line int64, same func(line int64) (bool, error)) (int64, error) {
	var free int64 // where the last level has room for it
	for i := range x.levels {
		first, room, err := x.look(x.levels[i], h, same)
		if err != nil || first != 0 {
			return first, err
		}
		free = room
	}
	if last := len(x.levels) - 1; last < 0 || x.levels[last].used >= x.levels[last].buckets*bucketSlots*3/4 {
		if err := x.grow(); err != nil {
			return 0, err
		}
		added := x.levels[last+1]
		free = added.offset + int64(added.bucket(h)*bucketSize) //nolint:gosec // as large as a file may be
	}
	binary.LittleEndian.PutUint64(x.slot[:], tag(h)|uint64(line)) //nolint:gosec // lines are counted from 1
	if _, err := x.file.WriteAt(x.slot[:], free); err != nil {
		return 0, err
	}
	x.levels[len(x.levels)-1].used++
	return 0, nil
}

// look returns the line with the same token, else 0 and where a slot is free.
func (x *index) look(l level, h hash, same func(line int64) (bool, error)) (line, free int64, err error) {
	for b := l.bucket(h); ; b = (b + 1) % l.buckets {
		offset := l.offset + int64(b*bucketSize) //nolint:gosec // as large as a file may be
		if _, err := x.file.ReadAt(x.bucket[:], offset); err != nil {
			return 0, 0, err
		}
		for at := int64(0); at < bucketSize; at += slotSize {
			slot := binary.LittleEndian.Uint64(x.bucket[at:])
			if slot == 0 {
				return 0, offset + at, nil
			}
			if slot>>lineBits<<lineBits != tag(h) {
				continue
			}
			line := int64(slot & (1<<lineBits - 1))
			if is, err := same(line); err != nil || is {
				return line, 0, err
			}
		}
	}
}

// grow begins a level. It takes room on the disk only where something is written.
func (x *index) grow() error {
	next := level{buckets: x.first}
	if n := len(x.levels); n > 0 {
		last := x.levels[n-1]
		next.offset = last.offset + int64(last.buckets*bucketSize) //nolint:gosec // as large as a file may be
		next.buckets = last.buckets * levelGrowth
	}
	if err := x.file.Truncate(next.offset + int64(next.buckets*bucketSize)); err != nil { //nolint:gosec // likewise
		return err
	}
	x.levels = append(x.levels, next)
	return nil
}

func (l level) bucket(h hash) uint64 { return binary.LittleEndian.Uint64(h[:]) % l.buckets }

// tag is the part of a hash that a slot has, which plays no part in the choice of a bucket.
func tag(h hash) uint64 { return uint64(binary.LittleEndian.Uint16(h[8:])) << lineBits }
