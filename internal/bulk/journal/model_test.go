package journal_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

// model is a journal as it would be written without a disk.
type model struct {
	first   map[string]int64
	results map[int64]journal.Result
	sent    map[int64]bool
}

// FuzzJournal has runs work on a list as the seed says. Some are closed, others end as a
// killed one does: with a copy of the files as they are. After each step the journal
// must say what the model says.
func FuzzJournal(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		chance := rand.New(rand.NewPCG(seed, 0))
		list := make([]string, 40) // "" has a problem
		for i := range list {
			if n := chance.IntN(30); n > 0 {
				list[i] = tokenOf(int64(n))
			}
		}
		m := model{map[string]int64{}, map[int64]journal.Result{}, map[int64]bool{}}
		path := newPath(t)
		for range 4 {
			path = m.run(t, path, chance, list)
		}
	})
}

// run works on the list up to somewhere, and returns where the journal is then.
func (m *model) run(t *testing.T, path string, chance *rand.Rand, list []string) string {
	t.Helper()
	j := open(t, path)
	for line, sent := range m.sent { // no answer comes any more
		if r := m.results[line]; sent && r.Verdict != journal.InProgress {
			r.Verdict = journal.Unknown
			m.results[line] = r
		}
	}
	clear(m.sent)
	m.check(t, j)
	for i := range list[:chance.IntN(len(list)+1)] {
		m.line(t, j, chance, int64(i+1), list[i])
		if chance.IntN(8) == 0 {
			m.check(t, j)
		}
	}
	m.check(t, j)
	if chance.IntN(2) == 0 {
		closed(t, j)
		return path
	}
	copied := newPath(t)
	for _, name := range []string{"", ".key"} {
		write(t, copied+name, read(t, path+name))
	}
	return copied
}

func (m *model) line(t *testing.T, j *journal.Journal, chance *rand.Rand, line int64, token string) {
	t.Helper()
	if token == "" {
		m.results[line] = journal.Result{Verdict: journal.Problem, Problem: tokenlist.NoTokenChars}
		problem(t, j, line, tokenlist.NoTokenChars)
		return
	}
	first, known := m.first[token]
	if !known {
		first = line
		m.first[token] = line
	}
	if first != line {
		m.results[line] = journal.Result{Verdict: journal.Duplicate, First: first}
	}
	before := m.results[line]
	m.results[line] = before
	want := journal.Standing{
		Duplicate: before.First, Done: before.Verdict.Final(), Result: before, MaybeApplied: before.Verdict.MaybeApplied(),
	}
	if diff := cmp.Diff(want, begin(t, j, line, token)); diff != "" {
		t.Fatalf("line %d has the wrong standing (-want +got):\n%s", line, diff)
	}
	if want.Done {
		return
	}
	for range chance.IntN(3) {
		sending(t, j, line)
		m.sent[line] = true
		if chance.IntN(4) == 0 {
			continue
		}
		now := journal.Result{
			Verdict:  journal.Verdict(chance.IntN(int(journal.Problem))),
			Attempts: chance.IntN(9),
		}
		record(t, j, line, now)
		switch before := m.results[line].Verdict; {
		case !before.MaybeApplied():
		case now.Verdict == journal.Rejected:
			now.Verdict = journal.AlreadyInvalid
		case now.Verdict == journal.NotApplied, now.Verdict == journal.Pending, now.Verdict == journal.Unknown:
			now.Verdict = before
		}
		m.results[line], m.sent[line] = now, false
		if now.Verdict.Final() {
			return
		}
	}
}

// check holds the journal against the model.
func (m *model) check(t *testing.T, j *journal.Journal) {
	t.Helper()
	want := map[int64]journal.Result{}
	for line, r := range m.results {
		if m.sent[line] && !r.Verdict.Final() && r.Verdict != journal.InProgress {
			r.Verdict = journal.Unknown
		}
		want[line] = r
	}
	if diff := cmp.Diff(want, results(t, j)); diff != "" {
		t.Fatalf("wrong results (-want +got):\n%s", diff)
	}
	var counts journal.Counts
	for _, r := range m.results {
		counts[r.Verdict]++
	}
	if got := j.Counts(); got != counts {
		t.Fatalf("counts %v, want %v", got, counts)
	}
}

// FuzzFile opens any file: it is refused, or read without a panic, and nothing that is
// no journal is written to.
func FuzzFile(f *testing.F) {
	path := f.TempDir() + "/tokens.journal"
	j := open(f, path)
	for line := int64(1); line <= 5; line++ {
		begin(f, j, line, tokenOf(line))
		sending(f, j, line)
	}
	closed(f, j)
	key := read(f, path+".key")
	f.Add(read(f, path))
	f.Add([]byte("token-1\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		path := newPath(t)
		write(t, path, file)
		write(t, path+".key", key)
		j, err := journal.Open(path)
		if err != nil {
			if string(read(t, path)) != string(file) {
				t.Error("a file that is refused was changed")
			}
			return
		}
		defer closed(t, j)
		results(t, j)
		for line := int64(1); line <= 5; line++ {
			if _, err := j.Begin(line, tokenOf(line)); err != nil {
				return // it has another line there
			}
			if err := j.Sending(line); err != nil {
				t.Error(err)
			}
		}
	})
}

func ExampleJournal() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, run := range []string{"first", "second"} {
		j, err := journal.Open(dir + "/tokens.journal")
		if err != nil {
			panic(err)
		}
		standing, err := j.Begin(1, "a-token")
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s run: it may be dead already: %v\n", run, standing.MaybeApplied)
		if err := j.Sending(1); err != nil {
			panic(err)
		}
		_ = j.Close() // before there is an answer
	}
	// Output:
	// first run: it may be dead already: false
	// second run: it may be dead already: true
}
