package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/quashdev/quash/internal/bulk/journal"
	"github.com/quashdev/quash/internal/bulk/tokenlist"
)

const (
	// maxWaiting is how many lines may wait to be asked again, which is all that is held
	// of a list: with tokens of 1 KiB, 2 MiB. Beyond, the list is not read on.
	maxWaiting = 2048
	// maxCharged is how many attempts a line has, unless all are to be dead.
	maxCharged = 5
	// toldProblems is how many lines without a token are told of while they are read.
	toldProblems = 20
	// listPatience is how long a try of an outage waits for a line of the list, which may
	// be a pipe that says nothing.
	listPatience = 100 * time.Millisecond
)

// ErrOutage is why a run ends before its list: nothing gets through any more.
var ErrOutage = errors.New("nothing gets through")

// List is what a run reads, tokenlist.Reader for instance.
type List interface {
	Next() (tokenlist.Line, error)
}

// Journal is where a run notes what it does, journal.Journal for instance.
type Journal interface {
	Begin(line int64, token string) (journal.Standing, error)
	Sending(line int64) error
	Record(line int64, r journal.Result) error
	Problem(line int64, p tokenlist.Problem) error
}

// Config is what a run needs. All of it but Rate, AllRegions and UntilDead must be set.
type Config struct {
	List    List
	Journal Journal
	// Revoke makes one call, and no more than one. Its context does not end when that of
	// the run does: a call that has begun is finished. It has to bound itself.
	Revoke func(ctx context.Context, token string) Answer
	// Concurrency is how many calls may be in flight, at least 1.
	Concurrency int
	// Rate is how many calls may begin in a second; 0 is any number.
	Rate float64
	// AllRegions is whether a token is dead only once it is so in all regions. That it is
	// invalid where SlashID was asked is not enough then: it stays in progress.
	AllRegions bool
	// UntilDead goes on with a line until its token is dead or rejected. Otherwise a line
	// has a few attempts, and is done once SlashID has accepted it.
	UntilDead bool
	// Notify is told what whoever watches should know, in a sentence without a full stop.
	Notify func(text string)
}

// Progress is how far a run has come.
type Progress struct {
	// Line is the last line that was begun.
	Line int64
	// Asked is how many calls were answered in this run, Settled how many lines are done
	// by it.
	Asked, Settled int64
	// InFlight is how many calls are, Waiting how many lines are to be asked again.
	InFlight, Waiting int
	// Outage is since when nothing gets through; zero while something does.
	Outage time.Time
}

// Run is one run over a list.
type Run struct {
	Config

	gate     gate
	pace     *rate.Limiter
	nextSlot time.Time // when the pace lets another call begin
	waiting  waiting
	// retried is whether the last try of an outage was of a line that waited, so that the
	// list is next.
	retried  bool
	inFlight int
	lines    chan tokenlist.Line // nil once the list is over
	listErr  error               // why it is, once that is so
	calls    chan *task
	answers  chan answered

	journalFailed bool
	problems      int

	mu       sync.Mutex
	progress Progress
}

type answered struct {
	*task

	Answer
}

// New prepares a run.
func New(cfg Config) *Run {
	pace := rate.NewLimiter(rate.Inf, 0)
	if cfg.Rate > 0 {
		// What a hundredth of a second allows may come at once: timers are no finer.
		pace = rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate/100)))
	}
	return &Run{
		Config: cfg,
		pace:   pace,
		gate:   gate{concurrency: cfg.Concurrency, notify: cfg.Notify},
		// As many as there may be of either, so that nobody ever waits for the other.
		calls:   make(chan *task, cfg.Concurrency),
		answers: make(chan answered, cfg.Concurrency),
	}
}

// Progress may be called at any time.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

// Do asks about every line that the journal does not know to be done. When ctx ends it
// begins nothing more, waits for what is in flight, and returns ctx's error. Other errors
// are of the list, which is read to where it cannot be read on; of the journal; and
// ErrOutage. Whatever it returns, the journal has what became of each line by then.
func (r *Run) Do(ctx context.Context) error {
	var goroutines sync.WaitGroup
	defer goroutines.Wait()
	stop := make(chan struct{})
	defer close(stop)
	defer close(r.calls)
	for range r.Concurrency {
		goroutines.Go(func() { r.call(context.WithoutCancel(ctx)) })
	}
	r.lines = make(chan tokenlist.Line)
	// Not waited for: a pipe may never say anything again.
	go r.read(stop, r.lines)
	err := r.loop(ctx)
	for r.inFlight > 0 {
		err = errors.Join(err, r.settle(<-r.answers))
	}
	return err
}

// read hands over the lines of the list until stop.
func (r *Run) read(stop <-chan struct{}, lines chan<- tokenlist.Line) {
	defer close(lines)
	for {
		line, err := r.List.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.listErr = err
			}
			return
		}
		select {
		case lines <- line:
		case <-stop:
			return
		}
	}
}

// call makes calls until there are none.
func (r *Run) call(ctx context.Context) {
	for t := range r.calls {
		r.answers <- answered{t, r.Revoke(ctx, t.token)}
	}
}

// loop does one thing after the other until all is done, or no more may be.
func (r *Run) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.reserve(time.Now())
	for r.lines != nil || r.inFlight > 0 || len(r.waiting) > 0 {
		now := time.Now()
		if r.gate.lost(now) && !r.UntilDead {
			return fmt.Errorf("%w for %s", ErrOutage, outagePatience)
		}
		var lines <-chan tokenlist.Line
		var wake <-chan time.Time
		opens, due := r.opens(), r.waiting.due()
		switch {
		case r.inFlight >= r.gate.limit(): // an answer comes first
		case opens.After(now):
			timer.Reset(opens.Sub(now))
			wake = timer.C
		case len(r.waiting) > 0 && !due.After(now) && !r.listIsNext():
			r.retried = true
			if err := r.send(now, r.waiting.take()); err != nil {
				return err
			}
			continue
		default:
			if r.hasRoom() {
				lines = r.lines
			}
			if len(r.waiting) > 0 {
				patience := due.Sub(now)
				if r.listIsNext() {
					patience = max(patience, listPatience)
				}
				timer.Reset(patience)
				wake = timer.C
			}
		}
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case a := <-r.answers:
			err = r.settle(a)
		case line, ok := <-lines:
			err = r.begin(line, ok)
		case <-wake:
			if lines != nil { // it has said nothing
				r.retried = false
			}
		}
		if err != nil {
			return err
		}
	}
	return r.listErr
}

// opens is when another call may begin, as far as it is not for those in flight, or when
// an outage ends the run: a server may ask to be left alone for longer.
func (r *Run) opens() time.Time {
	opens := r.nextSlot
	if r.gate.until.After(opens) {
		opens = r.gate.until
	}
	if r.gate.closed() && !r.UntilDead && opens.After(r.gate.ends()) {
		return r.gate.ends()
	}
	return opens
}

// hasRoom reports whether another line may be begun. During an outage those that wait
// already are tried, and lines of the list by turns with them.
func (r *Run) hasRoom() bool {
	return len(r.waiting) < maxWaiting && (!r.gate.closed() || len(r.waiting) == 0 || r.retried)
}

// listIsNext reports whether the next try of an outage is a line of the list: what looks
// like an outage may be a lot of lines that SlashID cannot do, and the list is not to end
// before them.
func (r *Run) listIsNext() bool {
	return r.gate.closed() && r.retried && r.lines != nil && r.hasRoom()
}

// begin takes a line of the list, and asks about it where that is to be done; ok is
// false after the last.
func (r *Run) begin(line tokenlist.Line, ok bool) error {
	if !ok {
		r.lines = nil
		return nil
	}
	defer r.note(func(p *Progress) { p.Line = line.Number })
	if line.Problem != "" {
		r.tellProblem(line)
		return r.noted(r.Journal.Problem(line.Number, line.Problem))
	}
	standing, err := r.Journal.Begin(line.Number, line.Token)
	if err != nil || standing.Done || r.saidAll(standing.Result) {
		return r.noted(err)
	}
	t := &task{line: line.Number, token: line.Token, before: standing.Result.Verdict, attempts: standing.Result.Attempts}
	if standing.MaybeApplied && t.before != journal.InProgress {
		t.before = journal.Unknown
	}
	r.retried = false
	return r.send(time.Now(), t)
}

// tellProblem tells of a line without a token, unless there are too many of them.
func (r *Run) tellProblem(line tokenlist.Line) {
	switch r.problems++; {
	case r.problems < toldProblems:
		r.Notify(fmt.Sprintf("line %d %s", line.Number, line.Problem))
	case r.problems == toldProblems:
		r.Notify(fmt.Sprintf("line %d %s; further lines like that are in the report", line.Number, line.Problem))
	}
}

// send has a call made. There is room for it.
func (r *Run) send(now time.Time, t *task) error {
	if err := r.Journal.Sending(t.line); err != nil {
		return r.noted(err)
	}
	r.inFlight++
	t.sent = now
	r.calls <- t
	r.reserve(now)
	r.note(func(*Progress) {})
	return nil
}

// reserve finds out when the pace lets the next call begin.
func (r *Run) reserve(now time.Time) {
	r.nextSlot = now.Add(r.pace.ReserveN(now, 1).DelayFrom(now))
}

// settle takes an answer.
func (r *Run) settle(a answered) error {
	now := time.Now()
	r.inFlight--
	t := a.task
	t.tries++
	t.attempts++
	if a.Answer.charged() {
		t.charged++
	}
	t.before = r.verdict(a.Answer, t.before)
	if a.through() {
		r.gate.passed(now)
	} else {
		r.gate.failed(now, t.sent, a.Answer, r.left())
	}
	again := r.again(t, a.Answer)
	if again {
		t.due = now.Add(t.backoff(a.RetryDelay))
		r.waiting.add(t)
	}
	r.note(func(p *Progress) {
		p.Asked++
		if !again {
			p.Settled++
		}
	})
	return r.noted(r.Journal.Record(t.line, journal.Result{Verdict: t.before, Reason: a.Reason, Code: a.Code, Attempts: t.attempts}))
}

// left is how many lines there are to ask about, the one that was just answered among
// them, and at least as many as are asked about at a time while the list goes on.
func (r *Run) left() int {
	left := r.inFlight + len(r.waiting) + 1
	if r.lines != nil {
		return max(left, r.Concurrency)
	}
	return left
}

// saidAll reports whether SlashID has no more to say of a token that is in progress.
func (r *Run) saidAll(known journal.Result) bool {
	return r.AllRegions && known.Verdict == journal.InProgress && Answer{Reason: known.Reason}.rejected()
}

func (r *Run) verdict(a Answer, before journal.Verdict) journal.Verdict {
	v := a.verdict(before)
	if r.AllRegions && a.rejected() && v == journal.AlreadyInvalid {
		return journal.InProgress
	}
	return v
}

// noted returns an error of the journal, but only the first: what is in flight meets the
// same full disk.
func (r *Run) noted(err error) error {
	if r.journalFailed {
		return nil
	}
	r.journalFailed = err != nil
	return err
}

// again reports whether a line is to be asked about once more.
func (r *Run) again(t *task, a Answer) bool {
	switch {
	case t.before.Final(), a.hopeless(), a.rejected():
		return false
	case r.UntilDead:
		return true
	default:
		return t.before != journal.InProgress && t.charged < maxCharged
	}
}

// note changes the progress.
func (r *Run) note(change func(*Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress)
	r.progress.InFlight, r.progress.Waiting, r.progress.Outage = r.inFlight, len(r.waiting), r.gate.since
}
