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
	// maxFailures is how many calls for a token may end without a decision in a run. It does
	// not apply with UntilDead.
	maxFailures = 5
	// A token is sent again after the delay that the server asks for, or else after a delay
	// that doubles from firstBackoff to lastBackoff.
	firstBackoff, lastBackoff = time.Second, 30 * time.Second
)

// Recorder records each call of a run, before and after it.
type Recorder interface {
	// Sending is called before a token is sent. If it fails, the token is not sent.
	Sending(line *Line) error
	// Answered is called when the line has a new Result.
	Answered(line *Line) error
}

// Config configures a run. All fields except Rate, AllRegions and UntilDead are required.
type Config struct {
	Lines   []Line
	Journal Recorder
	// Revoke makes exactly one call. Its context does not end with the context of the run,
	// so that calls in flight are finished. Revoke must have its own timeout.
	Revoke func(ctx context.Context, token string) Answer
	// Concurrency is the maximum number of calls in flight, at least 1.
	Concurrency int
	// Rate is the maximum number of calls per second; 0 means no limit.
	Rate float64
	// AllRegions means that a token is dead only when it is dead in all regions. A token that
	// SlashID then rejects stays in progress, because it may be dead in one region only.
	AllRegions bool
	// UntilDead retries each token until it is dead or rejected. Without it a token has a few
	// attempts, and is settled when SlashID has accepted the revocation.
	UntilDead bool
	// Notify receives messages for the operator, each a sentence without a full stop.
	Notify func(text string)
}

// Progress is the progress of a run.
type Progress struct {
	// Tokens is the number of tokens, Settled the number of them that this run does not send
	// again.
	Tokens, Settled int
	// Calls is the number of answered calls.
	Calls int
	// Outcomes is the number of tokens by outcome.
	Outcomes map[Outcome]int
	// Outage is when the current outage began; zero without an outage.
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
		// The burst is the calls of 10 ms, because timers are not more precise.
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

// Progress returns the current progress. It is safe for concurrent use.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	p.Outcomes = maps.Clone(p.Outcomes)
	p.Outage = r.gate.outage()
	return p
}

// Do sends the tokens that are not settled, in the order of the list. Then it retries, in
// further passes, the tokens for which a retry can help. When ctx ends, Do starts no more
// calls, waits for the calls in flight, and returns the error of ctx. It also returns errors of
// the journal, and ErrOutage. In every case the lines have their results when Do returns.
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

// turn waits until a call that is due may be made, and acquires a slot for it. During an outage
// it acquires all slots.
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
		// Calls that were in flight during Acquire may have changed the gate.
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
	// NOT_APPLIED is not caused by the token, so it does not count against maxFailures.
	if a.State != quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED {
		line.failures++
	}
	r.gate.answered(sent, a)
	r.note(before, line, r.repeats(line, a), backoff(pass, a.RetryDelay))
	return r.Journal.Answered(line)
}

// repeats reports whether a token must be sent again.
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

// backoff returns how long to wait before a token is sent again. delay is what the server asked
// for. Jitter spreads out the retries of calls that failed at the same time.
func backoff(pass int, delay time.Duration) time.Duration {
	if delay <= 0 {
		delay = min(firstBackoff<<min(pass-1, 5), lastBackoff)
	}
	return delay + rand.N(delay/4+1) //nolint:gosec // not a secret
}
