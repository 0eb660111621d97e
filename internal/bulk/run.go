package bulk

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const (
	// maxFailures is how many calls may be made for a token in a run that say neither yes
	// nor no, unless all tokens are to be dead.
	maxFailures = 5
	// A token is sent again after the server's delay, or else after one that doubles from
	// the first of these to the last.
	firstBackoff, lastBackoff = time.Second, 30 * time.Second
)

// Recorder notes what a run does, before it does it and afterwards.
type Recorder interface {
	// Sending is called before a token is sent, which is not done if it fails.
	Sending(line *Line) error
	// Answered is called when the line has a new Result.
	Answered(line *Line) error
}

// Config is what a run needs. All of it but Rate, AllRegions and UntilDead must be set.
type Config struct {
	Lines   []Line
	Journal Recorder
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
	// UntilDead goes on with a token until it is dead or rejected. Otherwise it has a few
	// attempts, and is done once SlashID has accepted it.
	UntilDead bool
	// Notify is told what the operator should know, in a sentence without a full stop.
	Notify func(text string)
}

// Progress is how far a run has come.
type Progress struct {
	// Tokens is how many there are, and Settled how many of them this run does not send
	// any more.
	Tokens, Settled int
	// Calls is how many were answered.
	Calls int
	// Outcomes is how many tokens have each.
	Outcomes map[Outcome]int
	// Outage is since when nothing gets through; zero while something does.
	Outage time.Time
}

// Run is one run over a list.
type Run struct {
	Config

	gate  gate
	pace  *rate.Limiter
	slots *semaphore.Weighted // a slot is one call in flight

	mu       sync.Mutex
	progress Progress
	again    []*Line // for the next pass
}

// New prepares a run.
func New(cfg Config) *Run {
	pace := rate.NewLimiter(rate.Inf, 0)
	if cfg.Rate > 0 {
		// The calls of a hundredth of a second may come at once: timers are no finer.
		pace = rate.NewLimiter(rate.Limit(cfg.Rate), max(1, int(cfg.Rate/100)))
	}
	r := &Run{
		Config:   cfg,
		pace:     pace,
		gate:     gate{notify: cfg.Notify, forever: cfg.UntilDead},
		slots:    semaphore.NewWeighted(int64(cfg.Concurrency)),
		progress: Progress{Outcomes: map[Outcome]int{}},
	}
	for i := range cfg.Lines {
		line := &cfg.Lines[i]
		if line.First != nil {
			continue
		}
		r.progress.Outcomes[line.Result.Outcome]++
		if line.Token != "" {
			r.progress.Tokens++
		}
		if line.Token != "" && line.Result.settled() {
			r.progress.Settled++
		}
	}
	return r
}

// Progress may be called at any time.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	p.Outcomes = maps.Clone(p.Outcomes)
	p.Outage = r.gate.outage()
	return p
}

// Do sends the tokens that are not settled, in the order of the list, and then, pass by
// pass, those again for which that can help. When ctx ends it begins nothing more, waits
// for what is in flight, and returns ctx's error. Other errors are those of the journal,
// and ErrOutage. Whatever it returns, the lines have their results by then.
func (r *Run) Do(ctx context.Context) error {
	var todo []*Line
	for i := range r.Lines {
		if line := &r.Lines[i]; line.First == nil && !line.Result.settled() {
			todo = append(todo, line)
		}
	}
	for pass := 1; len(todo) > 0; pass++ {
		if err := r.pass(ctx, pass, todo); err != nil {
			return err
		}
		todo, r.again = r.again, nil
		slices.SortFunc(todo, func(a, b *Line) int { return a.due.Compare(b.due) })
	}
	return nil
}

// pass sends each token once.
func (r *Run) pass(ctx context.Context, pass int, todo []*Line) error {
	r.gate.expect(r.Concurrency, len(todo))
	calls, callsCtx := errgroup.WithContext(ctx)
	var stopped error
	for _, line := range todo {
		slots, err := r.turn(callsCtx, line.due)
		if err != nil {
			stopped = err
			break
		}
		calls.Go(func() error {
			defer r.slots.Release(slots)
			return r.call(context.WithoutCancel(ctx), pass, line)
		})
	}
	if err := calls.Wait(); err != nil {
		return err
	}
	return stopped
}

// turn waits until a call may be made that is due at some time, and takes a slot for it.
// During an outage it takes all slots.
func (r *Run) turn(ctx context.Context, due time.Time) (slots int64, err error) {
	for {
		slots = 1
		_, alone, _ := r.gate.next(due)
		if alone {
			slots = int64(r.Concurrency)
		}
		if err := r.slots.Acquire(ctx, slots); err != nil {
			return 0, err
		}
		// The calls that were in flight until now may have changed the gate.
		at, stillAlone, err := r.gate.next(due)
		wait := time.Until(at)
		if err == nil && wait <= 0 && alone == stillAlone {
			if err = r.pace.Wait(ctx); err == nil {
				return slots, nil
			}
		}
		r.slots.Release(slots)
		if err != nil {
			return 0, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// call sends the token of a line.
func (r *Run) call(ctx context.Context, pass int, line *Line) error {
	if err := r.Journal.Sending(line); err != nil {
		return err
	}
	sent, before := time.Now(), line.Result
	a := r.Revoke(ctx, line.Token)
	line.Result = a.after(before, r.AllRegions)
	// An answer that nothing was done is not the token's fault, and does not count.
	if a.State != quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED {
		line.failures++
	}
	r.gate.answered(sent, a)
	r.note(before, line, r.repeats(line, a), backoff(pass, a.RetryDelay))
	return r.Journal.Answered(line)
}

// repeats reports whether a token is to be sent again.
func (r *Run) repeats(line *Line, a Answer) bool {
	switch {
	case line.Result.settled(), a.rejected(), a.hopeless():
		return false
	case r.UntilDead:
		return true
	default:
		return line.Result.Outcome != InProgress && line.failures < maxFailures
	}
}

func (r *Run) note(before Result, line *Line, again bool, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Calls++
	r.progress.Outcomes[before.Outcome]--
	r.progress.Outcomes[line.Result.Outcome]++
	if again {
		line.due = time.Now().Add(delay)
		r.again = append(r.again, line)
	} else {
		r.progress.Settled++
	}
}

// backoff is how long to wait before a token is sent again, where the server has asked for
// delay. Jitter keeps apart what failed together.
func backoff(pass int, delay time.Duration) time.Duration {
	if delay <= 0 {
		delay = min(firstBackoff<<min(pass-1, 5), lastBackoff)
	}
	return delay + rand.N(delay/4+1) //nolint:gosec // not a secret
}
