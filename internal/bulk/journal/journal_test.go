package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

func TestMain(m *testing.M) {
	beChild()
	goleak.VerifyTestMain(m)
}

var revoked = journal.Result{Verdict: journal.Revoked, Attempts: 1}

func TestANewLineIsPending(t *testing.T) {
	t.Parallel()
	j := open(t, "")
	if got := begin(t, j, 1, "a"); got != (journal.Standing{}) {
		t.Errorf("a new line's standing is %+v", got)
	}
	want := journal.Counts{journal.Pending: 1}
	if got := j.Counts(); got != want || j.Last() != 1 || j.Resumed() {
		t.Errorf("counts %v, last %d, resumed %v", got, j.Last(), j.Resumed())
	}
}

// What one run leaves behind of a line is what the next is told.
func TestStandingOfTheNextRun(t *testing.T) {
	t.Parallel()
	unavailable := journal.Result{
		Reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_UNAVAILABLE, Code: codes.Unavailable, Attempts: 3,
	}
	as := func(r journal.Result, v journal.Verdict) journal.Result { r.Verdict = v; return r }
	for name, c := range map[string]struct {
		work func(*journal.Journal)
		want journal.Standing
	}{
		"not sent": {
			func(*journal.Journal) {},
			journal.Standing{},
		},
		"sent": {
			func(j *journal.Journal) { sending(t, j, 1) },
			journal.Standing{Result: journal.Result{Verdict: journal.Unknown}, MaybeApplied: true},
		},
		"revoked": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, revoked) },
			journal.Standing{Result: revoked, Done: true},
		},
		"already invalid": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, as(revoked, journal.AlreadyInvalid)) },
			journal.Standing{Result: as(revoked, journal.AlreadyInvalid), Done: true},
		},
		"rejected": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, as(revoked, journal.Rejected)) },
			journal.Standing{Result: as(revoked, journal.Rejected), Done: true},
		},
		"unknown": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, as(unavailable, journal.Unknown)) },
			journal.Standing{Result: as(unavailable, journal.Unknown), MaybeApplied: true},
		},
		"in progress": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, as(unavailable, journal.InProgress)) },
			journal.Standing{Result: as(unavailable, journal.InProgress), MaybeApplied: true},
		},
		"not applied": {
			func(j *journal.Journal) { sending(t, j, 1); record(t, j, 1, as(unavailable, journal.NotApplied)) },
			journal.Standing{Result: as(unavailable, journal.NotApplied)},
		},
		"not applied, and sent again": {
			func(j *journal.Journal) {
				record(t, j, 1, as(unavailable, journal.NotApplied))
				sending(t, j, 1)
			},
			journal.Standing{Result: as(unavailable, journal.Unknown), MaybeApplied: true},
		},
		"in progress, and sent again": {
			func(j *journal.Journal) {
				record(t, j, 1, as(unavailable, journal.InProgress))
				sending(t, j, 1)
			},
			journal.Standing{Result: as(unavailable, journal.InProgress), MaybeApplied: true},
		},
		"more attempts than there is room for": {
			func(j *journal.Journal) {
				record(t, j, 1, journal.Result{Verdict: journal.NotApplied, Attempts: 1 << 20})
			},
			journal.Standing{Result: journal.Result{Verdict: journal.NotApplied, Attempts: 1<<16 - 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			j := open(t, path)
			begin(t, j, 1, "a")
			c.work(j)
			closed(t, j)

			j = open(t, path)
			if !j.Resumed() || j.Last() != 1 {
				t.Errorf("resumed %v, last %d", j.Resumed(), j.Last())
			}
			counts := j.Counts()
			for again := range 2 { // lines may be gone over more than once
				if diff := cmp.Diff(c.want, begin(t, j, 1, "a")); diff != "" {
					t.Errorf("wrong standing at %d (-want +got):\n%s", again, diff)
				}
			}
			var want journal.Counts
			want[c.want.Result.Verdict] = 1
			if counts != want || j.Counts() != want {
				t.Errorf("counts %v, then %v, want %v", counts, j.Counts(), want)
			}
		})
	}
}

// What may have been applied once stays so, whatever comes later.
func TestWhatMayHaveBeenAppliedBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, now, want journal.Verdict }{
		{journal.Unknown, journal.Revoked, journal.Revoked},
		{journal.Unknown, journal.AlreadyInvalid, journal.AlreadyInvalid},
		{journal.Unknown, journal.Rejected, journal.AlreadyInvalid},
		{journal.Unknown, journal.InProgress, journal.InProgress},
		{journal.Unknown, journal.Unknown, journal.Unknown},
		{journal.Unknown, journal.NotApplied, journal.Unknown},
		{journal.InProgress, journal.Revoked, journal.Revoked},
		{journal.InProgress, journal.Rejected, journal.AlreadyInvalid},
		{journal.InProgress, journal.Unknown, journal.InProgress},
		{journal.InProgress, journal.NotApplied, journal.InProgress},
		{journal.NotApplied, journal.Rejected, journal.Rejected},
		{journal.NotApplied, journal.NotApplied, journal.NotApplied},
		{journal.NotApplied, journal.Unknown, journal.Unknown},
	} {
		j := open(t, "")
		begin(t, j, 1, "a")
		for _, verdict := range []journal.Verdict{c.before, c.now} {
			sending(t, j, 1)
			record(t, j, 1, journal.Result{Verdict: verdict})
		}
		if got := resultOf(t, j, 1).Verdict; got != c.want {
			t.Errorf("%d after %d is %d, want %d", c.now, c.before, got, c.want)
		}
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, "a")
	begin(t, j, 2, "b")
	want := journal.Standing{Duplicate: 1, Done: true, Result: journal.Result{Verdict: journal.Duplicate, First: 1}}
	if diff := cmp.Diff(want, begin(t, j, 4, "a")); diff != "" {
		t.Errorf("wrong standing (-want +got):\n%s", diff)
	}
	closed(t, j)

	j = open(t, path)
	begin(t, j, 1, "a")
	begin(t, j, 2, "b")
	if diff := cmp.Diff(want, begin(t, j, 4, "a")); diff != "" {
		t.Errorf("wrong standing of a line that was one before (-want +got):\n%s", diff)
	}
	want.Duplicate, want.Result.First = 2, 2
	if diff := cmp.Diff(want, begin(t, j, 5, "b")); diff != "" {
		t.Errorf("wrong standing of a line that was added (-want +got):\n%s", diff)
	}
	if got, want := j.Counts(), (journal.Counts{journal.Pending: 2, journal.Duplicate: 2}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestResultsHaveEachLine(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 2, "a")
	begin(t, j, 3, "b")
	begin(t, j, 4, "a")
	problem(t, j, 5, tokenlist.TooLong)
	begin(t, j, 7, "c")
	sending(t, j, 3)
	sending(t, j, 7)
	record(t, j, 7, revoked)
	problem(t, j, 9, tokenlist.WrapGoesOn)

	want := map[int64]journal.Result{
		2: {},
		3: {Verdict: journal.Unknown},
		4: {Verdict: journal.Duplicate, First: 2},
		5: {Verdict: journal.Problem, Problem: tokenlist.TooLong},
		7: revoked,
		9: {Verdict: journal.Problem, Problem: tokenlist.WrapGoesOn},
	}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, results(t, j)); diff != "" {
			t.Errorf("%s: wrong results (-want +got):\n%s", when, diff)
		}
		for line, r := range want {
			if got := resultOf(t, j, line); got != r {
				t.Errorf("%s: line %d is %+v, want %+v", when, line, got, r)
			}
		}
	}
	check("in the run")
	closed(t, j)
	j = open(t, path)
	check("after it")
	counts := journal.Counts{
		journal.Pending: 1, journal.Unknown: 1, journal.Duplicate: 1, journal.Problem: 2, journal.Revoked: 1,
	}
	if got := j.Counts(); got != counts {
		t.Errorf("counts %v, want %v", got, counts)
	}
	for line := range j.Results() {
		if line == 4 {
			break // which is allowed
		}
	}
	problem(t, j, 5, tokenlist.TooLong)
	if got := j.Counts(); got != counts {
		t.Errorf("counts %v after a problem was met again, want %v", got, counts)
	}
}

func TestAnotherList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(*journal.Journal) error{
		"another token":              func(j *journal.Journal) error { _, err := j.Begin(2, "x"); return err },
		"a token of another line":    func(j *journal.Journal) error { _, err := j.Begin(2, "a"); return err },
		"a problem was a token":      func(j *journal.Journal) error { return j.Problem(2, tokenlist.BadJSON) },
		"a token was a problem":      func(j *journal.Journal) error { _, err := j.Begin(3, "c"); return err },
		"an empty token and problem": func(j *journal.Journal) error { _, err := j.Begin(3, ""); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			j := open(t, path)
			begin(t, j, 1, "a")
			begin(t, j, 2, "b")
			problem(t, j, 3, tokenlist.BadJSON)
			begin(t, j, 4, "d")
			closed(t, j)
			j = open(t, path)
			begin(t, j, 1, "a")
			err := c(j)
			if err == nil || !strings.Contains(err.Error(), "of the list is not the one that the journal "+path+" has: "+
				"go on with the list as it was (lines may be added at its end), or start over with another journal") {
				t.Errorf("failed with %v", err)
			}
		})
	}
}

func TestLinesMayBeAdded(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, "a")
	record(t, j, 1, revoked)
	closed(t, j)
	j = open(t, path)
	begin(t, j, 1, "a")
	if got := begin(t, j, 2, "b"); got != (journal.Standing{}) {
		t.Errorf("a line that was added has the standing %+v", got)
	}
}

// The last line of a run may have been half of one, for somebody was writing the list.
func TestHalfALine(t *testing.T) {
	t.Parallel()
	const last = 3
	becomes := func(verdict journal.Verdict) func(*testing.T, *journal.Journal) {
		return func(t *testing.T, j *journal.Journal) {
			t.Helper()
			begin(t, j, last, "half")
			sending(t, j, last)
			record(t, j, last, journal.Result{Verdict: verdict})
		}
	}
	for name, c := range map[string]struct {
		earlier func(*testing.T, *journal.Journal)
		is      string
		want    journal.Standing
		refused bool
	}{
		"nothing":            {func(t *testing.T, j *journal.Journal) { t.Helper(); begin(t, j, last, "half") }, "whole", journal.Standing{}, false},
		"rejected":           {becomes(journal.Rejected), "whole", journal.Standing{}, false},
		"not applied":        {becomes(journal.NotApplied), "whole", journal.Standing{}, false},
		"no token":           {func(t *testing.T, j *journal.Journal) { t.Helper(); problem(t, j, last, tokenlist.BadJSON) }, "whole", journal.Standing{}, false},
		"as it was":          {becomes(journal.Rejected), "half", journal.Standing{Done: true, Result: journal.Result{Verdict: journal.Rejected}}, false},
		"a duplicate, whole": {becomes(journal.Rejected), "a", journal.Standing{Duplicate: 1, Done: true, Result: journal.Result{Verdict: journal.Duplicate, First: 1}}, false},
		"dead":               {becomes(journal.Revoked), "whole", journal.Standing{}, true},
		"unknown":            {becomes(journal.Unknown), "whole", journal.Standing{}, true},
		"in progress":        {becomes(journal.InProgress), "whole", journal.Standing{}, true},
		"on its way": {
			func(t *testing.T, j *journal.Journal) { t.Helper(); begin(t, j, last, "half"); sending(t, j, last) },
			"whole",
			journal.Standing{},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			j := open(t, path)
			begin(t, j, 1, "a")
			begin(t, j, 2, "b")
			c.earlier(t, j)
			closed(t, j)
			j = open(t, path)
			begin(t, j, 1, "a")
			begin(t, j, 2, "b")
			got, err := j.Begin(last, c.is)
			if got != c.want || (err != nil) != c.refused {
				t.Errorf("its standing is %+v, %v", got, err)
			}
			if c.refused {
				return
			}
			counts := journal.Counts{journal.Pending: 2}
			counts[c.want.Result.Verdict]++
			if got := j.Counts(); got != counts {
				t.Errorf("counts %v, want %v", got, counts)
			}
		})
	}
}

// Half a line may have looked like a token, and the whole of it has none.
func TestHalfALineThatHasAProblem(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, "half")
	record(t, j, 1, journal.Result{Verdict: journal.Rejected})
	closed(t, j)
	j = open(t, path)
	problem(t, j, 1, tokenlist.NoTokenChars)
	if got, want := j.Counts(), (journal.Counts{journal.Problem: 1}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

// A line that the journal has lost between others, as when the power fails, may have
// been sent.
func TestALostLine(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	j := open(t, path)
	begin(t, j, 1, "a")
	begin(t, j, 2, "b")
	closed(t, j)
	records := read(t, path)
	clear(records[len(records)-64 : len(records)-32])
	write(t, path, records)
	j = open(t, path)
	want := journal.Standing{Result: journal.Result{Verdict: journal.Unknown}, MaybeApplied: true}
	if got := begin(t, j, 1, "a"); got != want {
		t.Errorf("its standing is %+v", got)
	}
	if got, want := j.Counts(), (journal.Counts{journal.Pending: 1, journal.Unknown: 1}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

// An empty line has no token that may have been sent.
func TestALineThatWasEmpty(t *testing.T) {
	t.Parallel()
	for name, visit := range map[string]func(j *journal.Journal) error{
		"has a token": func(j *journal.Journal) error { _, err := j.Begin(2, "b"); return err },
		"has another": func(j *journal.Journal) error { return j.Problem(2, tokenlist.TooLong) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			j := open(t, path)
			begin(t, j, 1, "a")
			problem(t, j, 4, tokenlist.TooLong)
			if got, want := j.Counts(), (journal.Counts{journal.Pending: 1, journal.Problem: 1}); got != want {
				t.Errorf("counts %v, want %v", got, want)
			}
			closed(t, j)
			j = open(t, path)
			if got, want := j.Counts(), (journal.Counts{journal.Pending: 1, journal.Problem: 1}); got != want {
				t.Errorf("counts %v of a journal that is gone on with, want %v", got, want)
			}
			for line := range j.Results() {
				if line != 1 && line != 4 {
					t.Errorf("line %d is in the results", line)
				}
			}
			begin(t, j, 1, "a")
			if err := visit(j); err == nil || !strings.Contains(err.Error(), "line 2 of the list is not the one") {
				t.Errorf("it is taken: %v", err)
			}
		})
	}
}

func TestWorkOnALineThatWasNotBegun(t *testing.T) {
	t.Parallel()
	j := open(t, "")
	begin(t, j, 2, "a")
	for _, line := range []int64{1, 3} {
		if err := j.Sending(line); err == nil {
			t.Errorf("line %d can be sent", line)
		}
		if err := j.Record(line, revoked); err == nil {
			t.Errorf("line %d can be recorded", line)
		}
	}
	if got := resultOf(t, j, 3); got != (journal.Result{}) {
		t.Errorf("a line that is not there is %+v", got)
	}
}

// One goroutine begins lines, others work on them, and somebody watches.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const lines, workers = 2000, 4
	j := open(t, newPath(t))
	todo := make(chan int64)
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for line := range todo {
				sending(t, j, line)
				record(t, j, line, revoked)
			}
		})
	}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			for line, r := range results(t, j) {
				switch r.Verdict {
				case journal.Pending, journal.Unknown, journal.Revoked:
				default:
					t.Errorf("line %d is %+v", line, r)
				}
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	for line := range int64(lines) {
		begin(t, j, line+1, fmt.Sprint("token-", line))
		todo <- line + 1
	}
	close(todo)
	work.Wait()
	close(over)
	watch.Wait()
	if got, want := j.Counts(), (journal.Counts{journal.Revoked: lines}); got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
}

// No line leaves anything in memory.
func TestMemory(t *testing.T) {
	const lines = 100_000
	j := open(t, newPath(t))
	work(t, j, 1, 1000)
	before := heap()
	work(t, j, 1001, lines)
	if after := heap(); after > before+lines {
		t.Errorf("%d lines take %d bytes", lines, after-before)
	}
}

// heap returns how much is in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// work revokes the tokens of lines, each tenth of which is a duplicate.
func work(t testing.TB, j *journal.Journal, from, to int64) {
	t.Helper()
	token := []byte(strings.Repeat("x", 1000))
	for line := from; line <= to; line++ {
		number := line
		if line%10 == 0 {
			number = line / 10
		}
		token = strconv.AppendInt(token[:1000], number, 10)
		if !begin(t, j, line, string(token)).Done {
			sending(t, j, line)
			record(t, j, line, revoked)
		}
	}
}

// BenchmarkRun is ten million lines when asked for with -benchtime 10000000x.
func BenchmarkRun(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tokens.journal")
	for _, run := range []string{"first", "resumed"} {
		b.Run(run, func(b *testing.B) {
			if run == "first" {
				_, _ = os.Remove(path), os.Remove(path+".key")
			}
			j := open(b, path)
			before := heap()
			b.ReportAllocs()
			b.ResetTimer()
			work(b, j, 1, int64(b.N))
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(heap())-float64(before), "B-left")
			closed(b, j)
		})
	}
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "tokens.journal")
}

// open opens a journal that is closed with the test, if it was not before.
func open(t testing.TB, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func closed(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func begin(t testing.TB, j *journal.Journal, line int64, token string) journal.Standing {
	t.Helper()
	standing, err := j.Begin(line, token)
	if err != nil {
		t.Fatal(err)
	}
	return standing
}

func sending(t testing.TB, j *journal.Journal, line int64) {
	t.Helper()
	if err := j.Sending(line); err != nil {
		t.Error(err)
	}
}

func record(t testing.TB, j *journal.Journal, line int64, r journal.Result) {
	t.Helper()
	if err := j.Record(line, r); err != nil {
		t.Error(err)
	}
}

func problem(t testing.TB, j *journal.Journal, line int64, p tokenlist.Problem) {
	t.Helper()
	if err := j.Problem(line, p); err != nil {
		t.Fatal(err)
	}
}

func resultOf(t testing.TB, j *journal.Journal, line int64) journal.Result {
	t.Helper()
	r, err := j.Result(line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// results returns all results, and sees to it that they come in order.
func results(t testing.TB, j *journal.Journal) map[int64]journal.Result {
	t.Helper()
	all := map[int64]journal.Result{}
	last := int64(0)
	for line, r := range j.Results() {
		if line <= last {
			t.Errorf("line %d comes after line %d", line, last)
		}
		all[line], last = r, line
	}
	if err := j.Err(); err != nil {
		t.Error(err)
	}
	return all
}
