// Package upstreamtest makes upstreams of quash's for tests.
package upstreamtest

import (
	"context"
	"errors"

	"github.com/quashdev/quash/service/slashid"
)

// Func is an upstream that is one function, which returns when an attempt has ended.
// Its context ends when the attempt is given up.
type Func func(ctx context.Context, req slashid.Request) slashid.Result

// Begin implements service.Upstream.
func (f Func) Begin(ctx context.Context, req slashid.Request) *slashid.Attempt {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	a := slashid.NewAttempt(func(kind slashid.Kind) { cancel(givenUpError(kind)) })
	go func() {
		defer cancel(nil)
		defer func() {
			if value := recover(); value != nil {
				a.Panic(value)
			}
		}()
		a.End(f(ctx, req))
	}()
	return a
}

// Wait returns what an attempt comes to. It is given up when ctx ends.
func Wait(ctx context.Context, u interface {
	Begin(ctx context.Context, req slashid.Request) *slashid.Attempt
}, req slashid.Request,
) slashid.Result {
	a := u.Begin(ctx, req)
	select {
	case <-a.Done():
	case <-ctx.Done():
		kind := slashid.Cancelled
		if ctx.Err() == context.DeadlineExceeded {
			kind = slashid.NoAnswer
		}
		a.GiveUp(kind)
		<-a.Done()
	}
	return a.Result()
}

// givenUpError is why a context has ended.
type givenUpError slashid.Kind

func (e givenUpError) Error() string { return "given up: " + slashid.Kind(e).String() }

// KindOf is as what the attempt of a context that has ended was given up.
func KindOf(ctx context.Context) slashid.Kind {
	if kind, ok := errors.AsType[givenUpError](context.Cause(ctx)); ok {
		return slashid.Kind(kind)
	}
	return slashid.Cancelled
}
