package service

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service/slashid"
)

// The causes with which the context of a revocation is cancelled.
var (
	errWithdrawn = errors.New("the call ended before the token was sent")
	// errNotConnected withdraws a call whose attempt waited for minConnectWait.
	errNotConnected = errors.New("there was no free connection to SlashID in time")
	errShutdown     = errors.New("quash shut down before SlashID answered")
	errNoAnswer     = errors.New("SlashID did not answer in time")
)

// revocation is one call of Revoke, from its admission until its last attempt has ended.
// One goroutine runs the attempts. The handler, on another goroutine, answers the caller.
// It can do so before the attempts end: a revocation that was sent is then finished in the
// background.
type revocation struct {
	svc   *TokenService
	cmd   command
	begun time.Time
	due   time.Time // when the answer to the caller is due

	cancel context.CancelCauseFunc
	done   chan struct{} // closed after answer is set

	mu     sync.Mutex
	answer *answer
	// summary and cause describe the attempts so far.
	summary Summary
	cause   error
	// attempting is when the attempt that runs has begun; zero between attempts.
	attempting time.Time
	// maybeApplied is whether an attempt may have been applied.
	maybeApplied bool
	// If the caller is answered before the revocation ends, the revocation continues in
	// the background if the token was sent. Otherwise it is withdrawn: the caller received
	// NOT_APPLIED, so the token must not be sent afterwards.
	background, withdrawn bool
}

// answer is the answer to a caller: a response or an error.
type answer struct {
	resp *quashv1.RevokeResponse
	err  *Error
}

// start runs the attempts on a new goroutine.
func (r *revocation) start(ctx context.Context) {
	go func() {
		defer r.cancel(nil)
		defer close(r.done)
		defer r.svc.inFlight.release(r)
		if a, late := r.end(r.run(ctx)); late {
			r.svc.recordLate(ctx, r, a)
		}
	}()
}

// end sets the answer, and reports whether it is late: the caller was answered before.
func (r *revocation) end(a answer) (_ answer, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = &a
	return a, r.background
}

// run makes attempts until one has an outcome that is not retried, or no time, budget or
// attempt is left.
func (r *revocation) run(ctx context.Context) (a answer) {
	defer func() {
		if value := recover(); value != nil {
			LogPanic(ctx, r.svc.cfg.Logger, "a revocation", value)
			a = answer{err: Internal(nil)}
		}
	}()
	if ctx.Err() != nil { // already withdrawn: do not use up a probe of the breaker
		return answer{err: r.error(callerCancelled)}
	}
	if !r.svc.breaker.TryAcquirePermit() {
		return answer{err: r.circuitOpen()}
	}
	last := r.attempt(ctx, false)
	for n := 1; n < maxAttempts && r.waitToRetry(ctx, last, n) && r.acquireRetry(); n++ {
		last = r.retry(ctx, last)
	}
	return r.conclude(last)
}

// attempted is the result of an attempt.
type attempted struct {
	slashid.Result

	outcome outcome
	ended   time.Time
	// ambiguous is whether the token was also sent earlier, and may have been revoked then.
	ambiguous bool
}

// mayHaveApplied reports whether this attempt, or one before it, may have been applied.
func (a attempted) mayHaveApplied() bool {
	return a.ambiguous || a.Sent && outcomes[a.outcome].state != stateNotApplied
}

// attempt makes one attempt, for which the caller of this method has a permit of the
// breaker. ambiguous is whether an earlier attempt may have been applied.
func (r *revocation) attempt(ctx context.Context, ambiguous bool) attempted {
	begun := time.Now()
	timeout := timeoutWithin(r.due.Sub(begun), r.cmd.timeout)
	r.mu.Lock()
	r.summary.Attempts++
	r.summary.Timeout = timeout
	r.attempting = begun
	r.mu.Unlock()

	ended := internalDefect // if the attempt panics
	defer func() {
		r.svc.reportToBreaker(ended)
		r.svc.metrics.recordAttempt(ctx, ended, r.cmd.consistency, time.Since(begun))
	}()
	// This cancels the whole revocation: an attempt without a response is not retried.
	limit := time.AfterFunc(timeout+r.svc.cfg.AnswerGrace, func() { r.cancel(errNoAnswer) })
	defer limit.Stop() // if the attempt panics
	result := r.svc.cfg.Upstream.Revoke(ctx, slashid.Request{
		Token:         r.cmd.token,
		Consistency:   upstreamConsistency(r.cmd.consistency),
		Timeout:       timeout,
		SDKVersion:    r.cmd.sdkVersion,
		Credentials:   r.cmd.credentials,
		BeforeSend:    r.beforeSend,
		NewConnection: r.svc.breaker.IsHalfOpen(),
	})
	if !limit.Stop() {
		r.cancel(errNoAnswer) // do not leave it to the timer, which may run later
	}
	cause := context.Cause(ctx)
	ended = outcomeOf(result, cause)
	a := attempted{Result: result, outcome: ended, ended: time.Now(), ambiguous: ambiguous || result.Resent}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempting = time.Time{}
	r.maybeApplied = a.mayHaveApplied()
	r.summary.UpstreamStatus = cmp.Or(result.Status, r.summary.UpstreamStatus)
	r.summary.CorrelationID = cmp.Or(result.CorrelationID, r.summary.CorrelationID)
	r.cause = nil
	if result.Status == 0 {
		r.cause = cmp.Or(cause, result.Err) // result.Err is only "context canceled" then
	}
	return a
}

// retry makes another attempt after last.
func (r *revocation) retry(ctx context.Context, last attempted) attempted {
	defer r.svc.inFlight.releaseRetry()
	return r.attempt(ctx, last.mayHaveApplied())
}

// waitToRetry waits for the delay before the next attempt. It reports false if the last
// outcome is not retried, or no time is left. attempts is the number of attempts so far.
func (r *revocation) waitToRetry(ctx context.Context, last attempted, attempts int) bool {
	delay := last.RetryAfter + backoff(attempts)
	if !outcomes[last.outcome].retried || delay >= time.Until(r.due) || r.svc.breaker.IsOpen() {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// acquireRetry reports whether the retry budget, the breaker and the time that is left
// permit another attempt.
func (r *revocation) acquireRetry() bool {
	if time.Until(r.due) <= 0 || !r.svc.inFlight.acquireRetry() {
		return false
	}
	if !r.svc.breaker.TryAcquirePermit() {
		r.svc.inFlight.releaseRetry()
		return false
	}
	return true
}

// beforeSend implements slashid.Request.BeforeSend. From this moment on the attempt may be
// applied.
func (r *revocation) beforeSend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.withdrawn || r.answer != nil {
		return false
	}
	r.maybeApplied = true
	return true
}

// wait returns the answer to the caller when it is there or due, or when the caller cancels.
func (r *revocation) wait(ctx context.Context) answer {
	due := time.NewTimer(time.Until(r.due))
	defer due.Stop()
	select {
	case <-r.done:
		return *r.answer
	case <-ctx.Done():
		if ctx.Err() == context.Canceled {
			return r.leave(callerCancelled)
		}
	case <-due.C:
	}
	return r.leave(noAnswer)
}

// minConnectWait is how long an attempt must have waited before the lack of a connection says
// something about the network, and not only about the caller's short deadline.
const minConnectWait = time.Second

// leave returns the answer with outcome o for a caller that stops waiting. A revocation that
// was sent continues in the background; one that was not sent is withdrawn.
func (r *revocation) leave(o outcome) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil { // it came at the last moment
		return *r.answer
	}
	err := r.errorLocked(o)
	if r.maybeApplied {
		r.background = true
	} else {
		r.withdrawn = true
		err.state = stateNotApplied
		why := errWithdrawn
		if o == noAnswer && !r.attempting.IsZero() && time.Since(r.attempting) >= minConnectWait {
			why = errNotConnected
			err.cause = cmp.Or(err.cause, why)
		}
		r.cancel(why)
	}
	return answer{err: err}
}

func (r *revocation) inBackground() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.background
}

// conclude returns the answer for the whole call after its last attempt.
func (r *revocation) conclude(last attempted) answer {
	o := last.outcome.ofCall(r.cmd.ownCredentials, r.cmd.allowInvalid || last.ambiguous)
	row := &outcomes[o]
	if row.code == codes.OK {
		resp := &quashv1.RevokeResponse{Outcome: row.outcome, CorrelationId: r.currentSummary().CorrelationID}
		if o == revoked {
			resp.Consistency = r.cmd.consistency
		}
		return answer{resp: resp}
	}
	err := r.error(o)
	if last.RetryAfter > 0 {
		err.retryDelay = max(last.RetryAfter-time.Since(last.ended), time.Second)
	}
	if row.state == stateUnknown && !last.Sent {
		err.state = stateNotApplied
	}
	if err.state == stateNotApplied && last.ambiguous {
		err.state = stateUnknown
	}
	return answer{err: err}
}

// circuitOpen returns the error of a call that the open breaker rejects.
func (r *revocation) circuitOpen() *Error {
	err := r.error(circuitOpen)
	if rest := r.svc.breaker.RemainingDelay(); rest > 0 {
		err.retryDelay = rest
	}
	return err
}

// error returns the error of an outcome, with the summary and the cause so far.
func (r *revocation) error(o outcome) *Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.errorLocked(o)
}

func (r *revocation) errorLocked(o outcome) *Error {
	err := newError(o)
	err.summary, err.cause = r.summary, r.cause
	return err
}

// currentSummary returns the summary of the call so far.
func (r *revocation) currentSummary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	summary := r.summary
	summary.Elapsed = time.Since(r.begun)
	return summary
}
