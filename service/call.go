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

// call is one revocation on its way through its attempts. Its attempts run on a
// goroutine of their own, which outlives the caller where something was sent: a
// revocation once sent is finished.
type call struct {
	svc    *TokenService
	cmd    command
	creds  slashid.Credentials
	own    bool // whether creds are quash's own
	begun  time.Time
	due    time.Time          // by when the caller must have its answer
	cancel context.CancelFunc // ends the back-off or attempt of a call withdrawn

	mu sync.Mutex
	// outstanding: a request has gone out, and is not answered.
	outstanding bool
	// ambiguous: an earlier attempt may have been applied.
	ambiguous bool
	// left: the caller has its answer already. withdrawn: it has been told that
	// nothing was done, so nothing must be.
	left, withdrawn bool
	// concluded: the last attempt has ended, and the call with it.
	concluded bool

	attempts int
	timeout  time.Duration  // that of the last attempt
	last     slashid.Result // that of the last attempt that ended
	lastAt   time.Time      // when it ended
	status   int            // of the last answer
	id       string         // the correlation id of the last answer that had one
	refused  bool           // the breaker let not even the first one through
}

// run makes the attempts. ctx ends when quash must not wait any longer.
func (c *call) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	// What it returns is known here already: the last result, or that there was
	// no budget for another.
	_, _ = c.svc.retries.WithContext(ctx).Get(func() (verdict, error) { return c.attempt(ctx), nil })
}

// attempt asks SlashID once.
func (c *call) attempt(ctx context.Context) verdict {
	timeout, ok := c.prepare()
	if !ok {
		return verdict{}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+c.svc.cfg.AnswerGrace)
	defer cancel()
	var result slashid.Result // as it is, should Revoke panic
	begun := time.Now()
	defer func() {
		c.svc.report(result.Kind)
		c.svc.metrics.attempt(ctx, result.Kind, c.cmd.consistency, time.Since(begun))
	}()
	result = c.svc.cfg.Upstream.Revoke(ctx, slashid.Request{
		Token:       c.cmd.token,
		Consistency: upstreamConsistency(c.cmd.consistency),
		Timeout:     timeout,
		SDKVersion:  c.cmd.sdkVersion,
		Credentials: c.creds,
		Commit:      c.commit,
	})
	return c.conclude(result)
}

// prepare begins an attempt and returns its timeout, unless there is no use in
// it or the breaker is open.
func (c *call) prepare() (timeout time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Until(c.due)
	if c.withdrawn || left <= 0 {
		return 0, false
	}
	if !c.svc.breaker.TryAcquirePermit() {
		c.refused = c.attempts == 0
		return 0, false
	}
	c.attempts++
	c.timeout = timeoutWithin(left, c.cmd.timeout)
	return c.timeout, true
}

// commit is slashid.Request.Commit: the moment from which on the attempt may be
// applied.
func (c *call) commit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.withdrawn || c.concluded {
		return false
	}
	c.outstanding = true
	return true
}

// conclude takes an attempt's result, and decides on another attempt.
func (c *call) conclude(result slashid.Result) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outstanding = false
	c.last, c.lastAt = result, time.Now()
	c.status = cmp.Or(result.Status, c.status)
	c.id = cmp.Or(result.CorrelationID, c.id)
	row := &outcomes[situationOf(result.Kind, c.own, c.cmd.allowInvalid)]
	delay := backoff(c.attempts)
	if result.RetryAfterSet {
		delay += result.RetryAfter
	}
	if !row.retried || c.attempts == maxAttempts || delay >= time.Until(c.due) || c.svc.breaker.IsOpen() {
		c.concluded = true
		return verdict{}
	}
	c.ambiguous = c.ambiguous || row.state == stateUnknown && result.Sent
	return verdict{again: true, delay: delay}
}

// settle returns how the call ended, once run has returned.
func (c *call) settle() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.concluded = true
	return c.end()
}

// land ends the call, also one that panicked: from then on nobody leaves it behind. It
// is late when the caller has been answered without it, and something was sent.
func (c *call) land() (late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.concluded = true
	return c.left && !c.withdrawn
}

// leave answers a caller that does not wait any longer, as s. What was sent goes
// on; what was not sent will not be.
func (c *call) leave(s situation) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.concluded {
		return c.end() // just in time
	}
	c.left = true
	err := c.newError(s)
	if !c.outstanding && !c.ambiguous {
		c.withdrawn = true
		err.failure.State = stateNotApplied
		if c.cancel != nil {
			c.cancel()
		}
		return answer{err: err}
	}
	c.svc.background.add(c)
	return answer{err: err}
}

// answer is what a caller is told, one of the first two.
type answer struct {
	resp *quashv1.RevokeResponse
	err  *Error
	// summary goes with resp; err knows its own.
	summary Summary
}

// tookSince says when the work on the call began.
func (a *answer) tookSince(begun time.Time) {
	if a.err != nil {
		a.err.TookSince(begun)
		return
	}
	a.summary.Elapsed = time.Since(begun)
}

// end is what the outcome table has for the call as a whole. The caller holds
// c.mu.
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
		return answer{resp: resp, summary: Summary{
			Consistency:    c.cmd.consistency,
			Timeout:        c.timeout,
			Attempts:       c.attempts,
			UpstreamStatus: c.status,
			CorrelationID:  c.id,
		}}
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

// newError is the error of row s, with what is known of the call. The caller
// holds c.mu.
func (c *call) newError(s situation) *Error {
	err := newError(s)
	err.correlationID = c.id
	err.cause = c.last.Err
	err.failure.Consistency = c.cmd.consistency
	if c.attempts > 0 {
		err.failure.Timeout = durationpb.New(c.timeout)
	}
	err.failure.Attempts = int32(c.attempts)     //nolint:gosec // at most maxAttempts
	err.failure.UpstreamStatus = int32(c.status) //nolint:gosec // three digits, says net/http
	return err
}
