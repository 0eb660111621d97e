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

// Why the context of a revocation ends before it.
var (
	errWithdrawn = errors.New("the caller left before the token was sent")
	errShutdown  = errors.New("quash shut down before SlashID answered")
	errNoAnswer  = errors.New("SlashID did not answer in time")
)

// revocation is one call of Revoke, from its admission until nothing of it is under way.
// One goroutine runs its attempts. The handler, on another, answers the caller, which it
// can do earlier: a revocation that was sent is finished without its caller.
type revocation struct {
	svc   *TokenService
	cmd   command
	begun time.Time
	due   time.Time // by when the caller must have its answer

	cancel context.CancelCauseFunc
	done   chan struct{} // closed at the end, after answer is set

	mu     sync.Mutex
	answer *answer
	// summary and cause are those of the attempts so far.
	summary Summary
	cause   error
	// maybeApplied is whether an attempt was sent that may have been applied.
	maybeApplied bool
	// A caller may be answered before the revocation ends. If something was sent, the
	// revocation goes on in the background. If not, it is withdrawn: its caller has read
	// that nothing was done, so nothing must be.
	background, withdrawn bool
}

// answer is what a caller gets, one of the two.
type answer struct {
	resp *quashv1.RevokeResponse
	err  *Error
}

// start runs the attempts, in ctx.
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

// end sets the answer, and reports whether it is too late for the caller.
func (r *revocation) end(a answer) (_ answer, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = &a
	return a, r.background
}

// run asks SlashID until there is an answer that another attempt would not improve, or
// no time for one.
func (r *revocation) run(ctx context.Context) (a answer) {
	defer func() {
		if value := recover(); value != nil {
			LogPanic(ctx, r.svc.cfg.Logger, "a revocation", value)
			a = answer{err: Internal(nil)}
		}
	}()
	if ctx.Err() != nil { // the caller has left: do not use up a probe of the breaker
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

// attempted is what an attempt came to.
type attempted struct {
	slashid.Result

	outcome outcome
	ended   time.Time
	// ambiguous is whether the token was sent before the last time, and may have been
	// revoked then.
	ambiguous bool
}

// mayHaveApplied reports whether the token may be revoked by now.
func (a attempted) mayHaveApplied() bool {
	return a.ambiguous || a.Sent && outcomes[a.outcome].state != stateNotApplied
}

// attempt asks SlashID once. The breaker has permitted it. ambiguous is whether earlier
// attempts of the call may have been applied.
func (r *revocation) attempt(ctx context.Context, ambiguous bool) attempted {
	begun := time.Now()
	timeout := timeoutWithin(r.due.Sub(begun), r.cmd.timeout)
	r.mu.Lock()
	r.summary.Attempts++
	r.summary.Timeout = timeout
	r.mu.Unlock()

	ended := internalDefect // of an attempt that panics
	defer func() {
		r.svc.reportToBreaker(ended)
		r.svc.metrics.recordAttempt(ctx, ended, r.cmd.consistency, time.Since(begun))
	}()
	// There is no other attempt after one that got no answer in time.
	limit := time.AfterFunc(timeout+r.svc.cfg.AnswerGrace, func() { r.cancel(errNoAnswer) })
	defer limit.Stop() // of an attempt that panics
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
		r.cancel(errNoAnswer) // now, and not in the middle of what comes next
	}
	cause := context.Cause(ctx)
	ended = outcomeOf(result, cause)
	a := attempted{Result: result, outcome: ended, ended: time.Now(), ambiguous: ambiguous || result.Resent}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.maybeApplied = a.mayHaveApplied()
	r.summary.UpstreamStatus = cmp.Or(result.Status, r.summary.UpstreamStatus)
	r.summary.CorrelationID = cmp.Or(result.CorrelationID, r.summary.CorrelationID)
	r.cause = nil
	if result.Status == 0 {
		r.cause = cmp.Or(cause, result.Err) // that the context ended says less than why
	}
	return a
}

// retry makes another attempt, after one that came to last.
func (r *revocation) retry(ctx context.Context, last attempted) attempted {
	defer r.svc.inFlight.releaseRetry()
	return r.attempt(ctx, last.mayHaveApplied())
}

// waitToRetry waits until it is time for another attempt, after so many. It reports false
// if there is to be none.
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

// acquireRetry reports whether the budget for retries and the breaker permit another
// attempt, and there is time for it.
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

// beforeSend is slashid.Request.BeforeSend: the moment from which the attempt may be
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

// wait returns what the caller gets: the answer, if it comes in time.
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

// leave answers a caller that does not wait any longer. What was sent goes on; what was
// not sent will not be.
func (r *revocation) leave(o outcome) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil { // just in time
		return *r.answer
	}
	err := r.errorLocked(o)
	if r.maybeApplied {
		r.background = true
	} else {
		r.withdrawn = true
		err.state = stateNotApplied
		r.cancel(errWithdrawn)
	}
	return answer{err: err}
}

func (r *revocation) inBackground() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.background
}

// conclude is what the outcome table says of the call as a whole, after its last attempt.
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

// circuitOpen is the error of a call that the breaker does not let through.
func (r *revocation) circuitOpen() *Error {
	err := r.error(circuitOpen)
	if rest := r.svc.breaker.RemainingDelay(); rest > 0 {
		err.retryDelay = rest
	}
	return err
}

// error is the error of an outcome, with what is known of the call.
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

// currentSummary is what the log says of the call.
func (r *revocation) currentSummary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	summary := r.summary
	summary.Elapsed = time.Since(r.begun)
	return summary
}
