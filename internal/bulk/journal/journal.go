package journal

import (
	"iter"
	"sync"

	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// Standing is what is to be done with a line.
type Standing struct {
	// Duplicate is the first line with the same token, 0 if there is none. The journal
	// has recorded that, and nothing is to be done.
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
// lines, by one goroutine at a time; Sending and Record by any, for different lines at
// the same time; Counts by any.
type Journal struct {
	mu      sync.Mutex
	tokens  map[string]int64
	results map[int64]Result
	last    int64
}

// Open opens the journal in the file at path, or creates it. Without a path it is a
// file without a name that is gone with the process.
func Open(path string) (*Journal, error) {
	return &Journal{tokens: map[string]int64{}, results: map[int64]Result{}}, nil
}

// Close writes everything to disk and lets go of the file.
func (j *Journal) Close() error { return nil }

// Resumed reports whether the journal is that of an earlier run.
func (j *Journal) Resumed() bool { return false }

// Last returns the last line that the journal has, 0 if it has none: a list that ends
// before it has lost lines since an earlier run.
func (j *Journal) Last() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Begin says what is to be done with a line. It may be called again for lines that were
// begun, from the first one on, once their work has ended.
func (j *Journal) Begin(line int64, token string) (Standing, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, known := j.tokens[token]
	if known && first != line {
		j.put(line, Result{Verdict: Duplicate, First: first})
		return Standing{Duplicate: first, Done: true, Result: j.results[line]}, nil
	}
	j.tokens[token] = line
	r, begun := j.results[line]
	if !begun {
		j.put(line, Result{})
	}
	return Standing{
		Done:         r.Verdict.Final(),
		Result:       r,
		MaybeApplied: r.Verdict == Unknown || r.Verdict == InProgress,
	}, nil
}

// Sending is called before a call goes out: from then on the token may be dead.
func (j *Journal) Sending(line int64) error { return nil }

// Record says what became of a line in this run. A Verdict of NotApplied that follows
// one of Unknown or InProgress leaves that, and Rejected becomes AlreadyInvalid, as the
// outcomes of a call with several attempts do.
func (j *Journal) Record(line int64, r Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(line, r)
	return nil
}

// Problem records a line that has no token.
func (j *Journal) Problem(line int64, p tokenlist.Problem) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(line, Result{Verdict: Problem, Problem: p})
	return nil
}

// Result returns what became of a line, such as the first one of a Duplicate.
func (j *Journal) Result(line int64) (Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.results[line], nil
}

// Results returns what became of each line that is not empty, in their order. A line
// that is on its way is Unknown. When reading fails the sequence ends, and Err says why.
func (j *Journal) Results() iter.Seq2[int64, Result] {
	return func(yield func(int64, Result) bool) {
		for line := int64(1); line <= j.Last(); line++ {
			if r, has := j.results[line]; has && !yield(line, r) {
				return
			}
		}
	}
}

// Err returns why Results ended early, nil if it did not.
func (j *Journal) Err() error { return nil }

// Counts returns how many lines there are of each Verdict. A line that is on its way
// counts as what it was before.
func (j *Journal) Counts() Counts {
	j.mu.Lock()
	defer j.mu.Unlock()
	var counts Counts
	for _, r := range j.results {
		counts[r.Verdict]++
	}
	return counts
}

func (j *Journal) put(line int64, r Result) {
	j.results[line] = r
	j.last = max(j.last, line)
}
