package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Standing is what is to be done with a line.
type Standing struct {
	// Duplicate is the first line with the same token, 0 if there is none. It has been
	// recorded, and nothing is to be done.
	Duplicate int64
	// Done is whether nothing is to be done: Result is final.
	Done bool
	// Result is what became of the line so far. Its Verdict is Pending if nothing did.
	Result Result
	// MaybeApplied is whether the token may be dead already, for it was sent before, and
	// the answer is missing or did not say.
	MaybeApplied bool
}

// Journal is the record of a run. Begin and Problem are called in the order of the
// lines, by one goroutine at a time. Sending and Record may be called by many, each for
// lines of its own. The rest may be called at any time.
//
// After an error the run should come to an end: send nothing more, Record what still
// comes back, Close. What could not be written is found Unknown by the next run.
type Journal struct {
	path   string
	named  bool
	header header
	file   *os.File
	hasher *hasher
	index  *index

	// mu keeps those that read many records at once from those that write one.
	mu sync.RWMutex

	syncs       sync.WaitGroup
	syncedAt    atomic.Int64 // when the last one began, in nanoseconds of Unix
	syncFailure atomic.Pointer[error]

	// earlier is the last line that earlier runs began, begun that of this run, last
	// the greater.
	earlier int64
	begun   int64
	last    atomic.Int64
	visited int64 // the last line of this run, begun or with a problem

	counts      [Verdicts]atomic.Int64
	readFailure atomic.Pointer[error]
}

// Last returns the last line that the journal has, 0 if it has none. A list that ends
// before it has lost lines since an earlier run.
func (j *Journal) Last() int64 { return j.last.Load() }

// Begin says what is to be done with a line. It may be called again for lines that were
// begun, from the first one on, once all work for them has ended.
func (j *Journal) Begin(line int64, token string) (Standing, error) {
	if err := j.passOver(line); err != nil {
		return Standing{}, err
	}
	h := j.hasher.hash(token)
	r, found, err := j.read(line)
	if err != nil {
		return Standing{}, err
	}
	if found == sound && r.hash != h {
		if !j.mayBeHalf(line, r) {
			return Standing{}, j.otherList(line)
		}
		found = half
	}
	if line > j.begun || found != sound {
		if r, err = j.begin(line, h, r, found); err != nil {
			return Standing{}, err
		}
		j.begun = max(j.begun, line)
	}
	result := r.standing()
	return Standing{
		Duplicate:    result.First,
		Done:         result.Verdict.Final(),
		Result:       result,
		MaybeApplied: result.Verdict.MaybeApplied(),
	}, nil
}

// begin begins a line for the first time in this run.
func (j *Journal) begin(line int64, h hash, r record, found condition) (record, error) {
	if found == sound && r.result.Verdict == Duplicate {
		return r, nil
	}
	first, err := j.index.add(h, line, func(line int64) (bool, error) {
		b, err := j.readBytes(line)
		return hash(b[:16]) == h, err // which no write changes, so that one may be under way
	})
	if err != nil {
		return record{}, j.writeFailed(err)
	}
	before := r.standing().Verdict
	switch {
	case found == sound && !r.sent:
		return r, nil
	case found == sound: // it was sent, and this run has no answer to wait for
		r = record{hash: h, result: r.standing()}
	case first != 0 && first != line: // which it is if it was begun before, and that failed
		r = record{hash: h, result: Result{Verdict: Duplicate, First: first}}
	case line <= j.earlier && found != half: // lost, or damaged, with whatever it said
		r = record{hash: h, result: Result{Verdict: Unknown}}
	default:
		r = record{hash: h}
	}
	if err := j.write(line, r); err != nil {
		return record{}, err
	}
	j.counted(found, before, r.result.Verdict)
	return r, nil
}

// Sending is called before a call goes out: from then on the token may be dead.
func (j *Journal) Sending(line int64) error {
	r, err := j.readBegun(line)
	if err != nil || r.sent {
		return err
	}
	r.sent = true
	return j.write(line, r)
}

// Record says what became of a line, with the attempts of earlier runs. It heeds what may
// have been applied before, as the outcomes of a call with several attempts do: a line
// that was Unknown or InProgress stays so if it is now NotApplied, and is AlreadyInvalid
// if it is now Rejected.
func (j *Journal) Record(line int64, result Result) error {
	r, err := j.readBegun(line)
	if err != nil {
		return err
	}
	before := r.result.Verdict
	result.Verdict = after(before, result.Verdict)
	if err := j.write(line, record{hash: r.hash, result: result}); err != nil {
		return err
	}
	j.counted(sound, before, result.Verdict)
	return j.syncSometimes()
}

// Problem records a line that has no token.
func (j *Journal) Problem(line int64, p tokenlist.Problem) error {
	if err := j.passOver(line); err != nil {
		return err
	}
	r, found, err := j.read(line)
	if err != nil {
		return err
	}
	if found == sound && r.result.Verdict != Problem && !j.mayBeHalf(line, r) {
		return j.otherList(line)
	}
	if err := j.write(line, record{result: Result{Verdict: Problem, Problem: p}}); err != nil {
		return err
	}
	j.counted(found, r.result.Verdict, Problem)
	return nil
}

// passOver notes that the lines before this one are empty that were not visited. Of a line
// without a record a later run would have to think that the record was lost, and that its
// token may have been sent: SlashID's no would be taken for a proof that it is dead.
func (j *Journal) passOver(line int64) error {
	for ; j.visited < line-1; j.visited++ {
		empty := j.visited + 1
		_, found, err := j.read(empty)
		if err == nil && found == absent {
			err = j.write(empty, record{result: Result{Verdict: Empty}})
		}
		if err != nil {
			return err
		}
	}
	j.visited = max(j.visited, line)
	return nil
}

// mayBeHalf reports whether a record may be of half a line: the last that an earlier run
// read, of a list that somebody was still writing. The whole line takes its place, unless
// that would forget a token that is dead or may be.
func (j *Journal) mayBeHalf(line int64, r record) bool {
	if line != j.earlier || r.sent {
		return false
	}
	switch r.result.Verdict {
	case Pending, Rejected, NotApplied, Problem:
		return true
	case Revoked, AlreadyInvalid, InProgress, Unknown, Duplicate, Empty:
	}
	return false
}

// Result returns what became of a line, such as the first one of a Duplicate. It is
// Pending for a line that the journal does not have.
func (j *Journal) Result(line int64) (Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, _, err := j.read(line)
	return r.standing(), err
}

// readBegun reads the record of a line whose work is under way.
func (j *Journal) readBegun(line int64) (record, error) {
	r, found, err := j.read(line)
	if err == nil && (found != sound || r.result.Verdict == Empty) {
		err = fmt.Errorf("line %d was not begun, or the journal %s was changed by something else", line, j.path)
	}
	return r, err
}

func (j *Journal) read(line int64) (record, condition, error) {
	b, err := j.readBytes(line)
	if err != nil {
		return record{}, absent, err
	}
	r, found := decode(line, b)
	return r, found, nil
}

// readBytes returns a record as it is on disk, zeros from where the journal ends.
func (j *Journal) readBytes(line int64) (b [recordSize]byte, err error) {
	if line > j.last.Load() {
		return b, nil
	}
	if _, err := j.file.ReadAt(b[:], offsetOf(line)); err != nil && !errors.Is(err, io.EOF) {
		return b, fmt.Errorf("the journal %s cannot be read: %w", j.path, err)
	}
	return b, nil
}

func (j *Journal) write(line int64, r record) error {
	b := r.encode(line)
	j.mu.RLock()
	defer j.mu.RUnlock()
	if _, err := j.file.WriteAt(b[:], offsetOf(line)); err != nil {
		return j.writeFailed(err)
	}
	if line > j.last.Load() { // only one goroutine begins lines
		j.last.Store(line)
	}
	return nil
}

func offsetOf(line int64) int64 { return headerSize + (line-1)*recordSize }

// counted counts a line that was found in a condition, and has another verdict now.
func (j *Journal) counted(found condition, before, now Verdict) {
	if found != absent {
		j.counts[before].Add(-1)
	}
	j.counts[now].Add(1)
}

func (j *Journal) otherList(line int64) error {
	return fmt.Errorf("line %d of the list is not the one that the journal %s has: "+
		"go on with the list as it was (lines may be added at its end), or start over with another journal", line, j.path)
}

func (j *Journal) writeFailed(err error) error {
	if !j.named {
		return fmt.Errorf("what was done cannot be written to a temporary file: %w", err)
	}
	return fmt.Errorf("the journal %s cannot be written: %w: nothing is lost, and when that is put right, "+
		"the same command goes on where this one stopped", j.path, err)
}
