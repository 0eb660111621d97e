package slashid

import "runtime/debug"

// Attempt is one attempt to revoke a token, under way or ended. Nobody has to wait for
// it: it ends by itself, with the answer or the connection.
type Attempt struct {
	done     chan struct{}
	result   Result
	panicked *Panicked
	giveUp   func(Kind)
}

// NewAttempt returns an attempt that is under way, for those who make them. giveUp is
// called for GiveUp.
func NewAttempt(giveUp func(Kind)) *Attempt {
	return &Attempt{done: make(chan struct{}), giveUp: giveUp}
}

// End ends the attempt. It must be called once.
func (a *Attempt) End(result Result) {
	a.result = result
	close(a.done)
}

// Panic ends the attempt in the place of End, where making it panicked with value: so
// does Result then, with a *Panicked. Call it while recovering.
func (a *Attempt) Panic(value any) {
	a.panicked = &Panicked{Value: value, Stack: debug.Stack()}
	close(a.done)
}

// Panicked is a panic that was recovered on another goroutine. It is passed by its
// address, which is all that the runtime prints of it.
type Panicked struct {
	Value any
	Stack []byte // as [debug.Stack] has it
}

// Done is closed when the attempt has ended.
func (a *Attempt) Done() <-chan struct{} { return a.done }

// Result is what the attempt came to. It must not be asked for before Done is closed.
func (a *Attempt) Result() Result {
	if a.panicked != nil {
		panic(a.panicked)
	}
	return a.result
}

// GiveUp has the attempt end soon, as kind, NoAnswer or Cancelled, unless it comes to
// something before that. What has been sent may be applied all the same. It may be
// called more than once, and when the attempt has ended.
func (a *Attempt) GiveUp(kind Kind) { a.giveUp(kind) }
