package slashid

import (
	"container/list"
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// errKeptBack is the cause where Commit said no.
var errKeptBack = fault("the token was kept back")

// exchange is one request and its answer: first in the pool, while it waits for a
// connection, then on that.
type exchange struct {
	req      Request
	attempt  Attempt
	observed observation

	state atomic.Int32

	mu      sync.Mutex
	carrier carrier

	// declined is how many connections have turned it away unsent.
	declined int

	// place is the one in the pool's queue, whose lock guards it; nil elsewhere.
	place *list.Element
}

// carrier has an exchange.
type carrier interface {
	// abandon forgets an exchange that has ended, if the carrier still has it.
	abandon(x *exchange)
}

// The states of an exchange. One that waits or is asked about has sent nothing.
const (
	waiting int32 = iota
	asking        // Commit is being asked
	sent          // the token is handed to a connection, or was about to be
	ended
)

// rides says who has the exchange from now on. It is false where it has ended.
func (x *exchange) rides(c carrier) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.carrier = c
	return x.state.Load() != ended
}

// send reports whether the request may go out. It is asked once, right before. From
// then on the token counts as sent.
func (x *exchange) send() (ok bool) {
	defer func() {
		if value := recover(); value != nil { // of Commit's
			x.panicked(value)
			ok = false
		}
	}()
	if !x.state.CompareAndSwap(waiting, asking) {
		return false // given up
	}
	if x.req.Commit != nil && !x.req.Commit() {
		x.end(Result{Kind: KeptBack, Err: errKeptBack})
		return false
	}
	return x.state.CompareAndSwap(asking, sent)
}

// end ends the exchange without an answer, unless it has ended.
func (x *exchange) end(result Result) {
	if x.state.Swap(ended) != ended {
		x.finish(result, answer{})
	}
}

func (x *exchange) finish(result Result, a answer) {
	if result.Err != nil {
		result.Err = publicCause(result.Err)
	}
	x.observed.end(result, a)
	x.attempt.End(result)
}

// giveUp is Attempt.GiveUp.
func (x *exchange) giveUp(kind Kind) {
	before := x.state.Swap(ended)
	if before == ended {
		return
	}
	cause := context.Canceled
	if kind == NoAnswer {
		cause = context.DeadlineExceeded
	}
	// While Commit is being asked it is not known what it says.
	x.finish(Result{Kind: kind, Sent: before != waiting, Err: cause}, answer{})
	x.mu.Lock()
	c := x.carrier
	x.mu.Unlock()
	if c != nil {
		c.abandon(x)
	}
}

// notConnected ends the exchange for which there is no connection.
func (x *exchange) notConnected(err error) { x.end(Result{Kind: NotConnected, Err: err}) }

// lost ends the exchange whose connection has failed.
func (x *exchange) lost(err error) { x.end(Result{Kind: ConnectionLost, Sent: true, Err: err}) }

// answer is what comes back, as far as it matters.
type answer struct {
	protocol      string // "1.1" or "2"
	status        int
	correlationID string
	retryAfter    string
	body          []byte
	bodyErr       error // what kept the rest of the body back
}

// answered ends the exchange with an answer.
func (x *exchange) answered(a answer) {
	result, ok := x.judge(a)
	if ok && x.state.Swap(ended) != ended {
		x.finish(result, a)
	}
}

// judge says what an answer means. A panic is that of the exchange alone: others share
// the connection.
func (x *exchange) judge(a answer) (result Result, ok bool) {
	defer func() {
		if value := recover(); value != nil {
			x.panicked(value)
		}
	}()
	result = Result{
		Kind:          kindOf(a.status),
		Status:        a.status,
		Sent:          true,
		CorrelationID: x.req.correlationID(a.correlationID),
	}
	result.RetryAfter, result.RetryAfterSet = parseRetryAfter(a.retryAfter, time.Now())
	switch { // the other statuses mean the same from anyone
	case a.status == http.StatusBadRequest && isEnvelope(a.body):
		result.Kind = TokenRejected
	case a.status == http.StatusRequestTimeout && isEnvelope(a.body):
		result.Kind = InProgress
	}
	return result, true
}

// kindOf is what a status means from anyone, SlashID or not.
func kindOf(status int) Kind {
	switch status {
	case http.StatusRequestTimeout:
		return OpaqueTimeout
	case http.StatusNoContent:
		return Revoked
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unavailable
	default:
		return Unexpected
	}
}

// parseStatus reads a status of three digits.
func parseStatus(text string) (status int, ok bool) {
	status, err := strconv.Atoi(text)
	return status, err == nil && len(text) == 3 && status >= 100
}

// panicked ends the exchange whose making panicked, where it has not ended.
func (x *exchange) panicked(value any) {
	if x.state.Swap(ended) != ended {
		x.observed.end(Result{}, answer{})
		x.attempt.Panic(value)
	}
}
