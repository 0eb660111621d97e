package service

import (
	"cmp"
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// call is one revocation on its way through its attempts. Whoever asked for it runs it,
// and where they leave while something may be applied, another goroutine takes it up
// where they left it: a revocation once sent is finished.
type call struct {
	svc   *TokenService
	cmd   command
	creds slashid.Credentials
	own   bool // whether creds are quash's own
	begun time.Time
	due   time.Time // by when the caller must have its answer

	// What follows belongs to the goroutine that runs the call.

	attempt *slashid.Attempt // the one under way, nil between two of them
	asked   time.Time        // when it began
	givenUp bool             // whether it has been given up
	// attempting: the breaker let an attempt through, and has not been told what it
	// came to.
	attempting bool
	// wake is when the attempt under way has had time enough, or when the back-off is
	// over; zero while neither is waited for.
	wake  time.Time
	timer *time.Timer

	// ambiguous: an earlier attempt may have been applied.
	ambiguous bool
	// left: the caller has its answer already.
	left bool

	attempts int
	timeout  time.Duration  // that of the last attempt
	last     slashid.Result // that of the last attempt that ended
	lastAt   time.Time      // when it ended
	status   int            // of the last answer
	id       string         // the correlation id of the last answer that had one
	refused  bool           // the breaker let not even the first one through

	mu sync.Mutex
	// outstanding: a request has gone out, and is not answered.
	outstanding bool
	// withdrawn: the caller has been told that nothing was done, so nothing must be.
	withdrawn bool
	// concluded: the last attempt has ended, and the call with it.
	concluded bool
}

// run takes the call on until it has ended, and returns how; or until its caller
// leaves, and returns what to tell it. The caller leaves once: what is run after that
// ends. Of ctx, which is the caller's, only the values count by then.
func (c *call) run(ctx context.Context) (a answer) {
	defer func() {
		if value := recover(); value != nil {
			LogPanic(ctx, c.svc.cfg.Logger, "a revocation", value)
			c.abandon(ctx)
			a = answer{err: Internal(nil)}
		}
	}()
	if c.timer == nil {
		c.timer = time.NewTimer(time.Until(c.due))
		c.begin(ctx)
	}
	for !c.concluded {
		c.arm()
		ended, gone, cut := c.events(ctx)
		select {
		case <-ended:
			c.conclude(ctx)
		case <-gone:
			if !c.attemptEnded() {
				return c.leave(situationOfLeaving(ctx))
			}
			c.conclude(ctx) // just in time
		case <-cut:
			c.cut()
		case <-c.timer.C:
			switch {
			case c.attemptEnded():
				c.conclude(ctx)
			case !c.left && !time.Now().Before(c.due):
				return c.leave(noAnswer)
			default:
				c.awake(ctx)
			}
		}
	}
	return c.end()
}

// events are what a call waits for besides its timer, each nil while it does not: the
// end of its attempt, its caller's leaving, and the end of the service.
func (c *call) events(ctx context.Context) (ended, gone, cut <-chan struct{}) {
	if c.attempt != nil {
		ended = c.attempt.Done()
	}
	if !c.left {
		gone = ctx.Done()
	}
	if !c.givenUp {
		cut = c.svc.cut.Done()
	}
	return ended, gone, cut
}

// arm sets the timer to what comes next.
func (c *call) arm() {
	next := c.wake
	if !c.left && (next.IsZero() || c.due.Before(next)) {
		next = c.due
	}
	if next.IsZero() {
		c.timer.Stop()
		return
	}
	c.timer.Reset(time.Until(next))
}

// awake does what c.wake was set for.
func (c *call) awake(ctx context.Context) {
	if c.attempt != nil {
		c.giveUp(slashid.NoAnswer)
		return
	}
	if !c.svc.flights.repeat() {
		c.close()
		return
	}
	c.begin(ctx)
	if !c.attempting {
		c.svc.flights.repeated()
	}
}

// cut ends the call soon, whatever it waits for.
func (c *call) cut() {
	if c.attempt == nil {
		c.close()
		return
	}
	c.giveUp(slashid.Cancelled)
}

// giveUp has the attempt under way end soon.
func (c *call) giveUp(kind slashid.Kind) {
	c.givenUp, c.wake = true, time.Time{}
	c.attempt.GiveUp(kind)
}

// begin asks SlashID once, unless there is no use in it or the breaker is open.
func (c *call) begin(ctx context.Context) {
	left := time.Until(c.due)
	if left <= 0 {
		c.close()
		return
	}
	if !c.svc.breaker.TryAcquirePermit() {
		c.refused = c.attempts == 0
		c.close()
		return
	}
	c.attempting = true
	c.attempts++
	c.timeout = timeoutWithin(left, c.cmd.timeout)
	c.asked = time.Now()
	c.givenUp, c.wake = false, c.asked.Add(c.timeout+c.svc.cfg.AnswerGrace)
	c.attempt = c.svc.cfg.Upstream.Begin(ctx, slashid.Request{
		Token:       c.cmd.token,
		Consistency: upstreamConsistency(c.cmd.consistency),
		Timeout:     c.timeout,
		SDKVersion:  c.cmd.sdkVersion,
		Credentials: c.creds,
		Commit:      c.commit,
	})
}

// commit is slashid.Request.Commit: the moment from which on the attempt may be
// applied. It is called on any goroutine.
func (c *call) commit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.withdrawn || c.concluded {
		return false
	}
	c.outstanding = true
	return true
}

// attemptEnded reports whether the attempt under way has ended.
func (c *call) attemptEnded() bool {
	if c.attempt == nil {
		return false
	}
	select {
	case <-c.attempt.Done():
		return true
	default:
		return false
	}
}

// conclude takes the result of the attempt, which has ended, and decides on another.
func (c *call) conclude(ctx context.Context) {
	result := c.attempt.Result()
	c.attempt = nil
	c.account(ctx, result.Kind)
	c.last, c.lastAt = result, time.Now()
	c.status = cmp.Or(result.Status, c.status)
	c.id = cmp.Or(result.CorrelationID, c.id)
	row := &outcomes[situationOf(result.Kind, c.own, c.cmd.allowInvalid)]
	delay := backoff(c.attempts)
	if result.RetryAfterSet {
		delay += result.RetryAfter
	}
	if c.withdrawn || !row.retried || c.attempts == maxAttempts || delay >= time.Until(c.due) || c.svc.breaker.IsOpen() {
		c.close()
		return
	}
	c.ambiguous = c.ambiguous || row.state == stateUnknown && result.Sent
	c.givenUp, c.wake = false, c.lastAt.Add(delay)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outstanding = false
}

// account tells the breaker, the metrics and the budget what the attempt came to.
func (c *call) account(ctx context.Context, kind slashid.Kind) {
	c.attempting = false
	c.svc.report(kind)
	c.svc.metrics.attempt(ctx, kind, c.cmd.consistency, time.Since(c.asked))
	if c.attempts > 1 {
		c.svc.flights.repeated()
	}
}

// close concludes the call: from then on nothing of it goes out.
func (c *call) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outstanding, c.concluded = false, true
}

// abandon concludes a call that has panicked.
func (c *call) abandon(ctx context.Context) {
	c.close()
	if c.attempting {
		c.account(ctx, 0)
	}
	if c.attempt != nil {
		c.attempt.GiveUp(slashid.Cancelled)
	}
}

// leave answers a caller that does not wait any longer, as s. What was sent goes
// on; what was not sent will not be.
func (c *call) leave(s situation) answer {
	err := c.newError(s)
	c.left = true
	if !c.withdraw() {
		c.svc.background.add(c)
		return answer{err: err}
	}
	err.failure.State = stateNotApplied
	c.cut()
	return answer{err: err}
}

// withdraw has nothing of the call go out any more, and reports whether nothing has
// gone out that may be applied. Otherwise it changes nothing.
func (c *call) withdraw() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdrawn = !c.outstanding && !c.ambiguous
	return c.withdrawn
}

// answer is what a caller is told, one of the two.
type answer struct {
	resp *quashv1.RevokeResponse
	err  *Error
}

// end is what the outcome table has for the call as a whole.
func (c *call) end() answer {
	if c.refused {
		err := c.newError(circuitOpen)
		if rest := c.svc.breaker.RemainingDelay(); rest > 0 {
			err.retryDelay = rest
		}
		return answer{err: err}
	}
	if c.attempts == 0 {
		return answer{err: c.newError(deadlineTooShort)} // there was some left, a moment ago
	}
	s := situationOf(c.last.Kind, c.own, c.cmd.allowInvalid)
	if s == tokenRejected && c.ambiguous {
		s = alreadyInvalid // by our own doing, or before it: dead either way
	}
	if row := &outcomes[s]; row.code == codes.OK {
		resp := &quashv1.RevokeResponse{Outcome: row.outcome, CorrelationId: c.id}
		if s == revoked {
			resp.Consistency = c.cmd.consistency
		}
		return answer{resp: resp}
	}
	err := c.newError(s)
	if c.last.RetryAfterSet {
		err.retryDelay = max(c.last.RetryAfter-time.Since(c.lastAt), 0)
	}
	if err.failure.GetState() == stateUnknown && !c.last.Sent {
		err.failure.State = stateNotApplied
	}
	if err.failure.GetState() == stateNotApplied && c.ambiguous {
		err.failure.State = stateUnknown
	}
	return answer{err: err}
}

// summary is what the log is told of a call that has succeeded by now.
func (c *call) summary() Summary {
	return Summary{
		Consistency:    c.cmd.consistency,
		Timeout:        c.timeout,
		Attempts:       c.attempts,
		UpstreamStatus: c.status,
		CorrelationID:  c.id,
		Elapsed:        time.Since(c.begun),
	}
}

// newError is the error of row s, with what is known of the call.
func (c *call) newError(s situation) *Error {
	err := newError(s)
	err.correlationID = c.id
	err.cause = c.last.Err
	err.failure.Consistency = c.cmd.consistency
	if c.attempts > 0 {
		err.failure.Timeout = durationpb.New(c.timeout)
	}
	err.failure.Attempts = int32(c.attempts)     //nolint:gosec // at most maxAttempts
	err.failure.UpstreamStatus = int32(c.status) //nolint:gosec // three digits, says slashid
	return err
}
