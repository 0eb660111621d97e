package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// calling makes a caller of a function.
type calling func(ctx context.Context, worker int) error

func (c calling) call(ctx context.Context, worker int, _ string) error { return c(ctx, worker) }

// Close does nothing.
func (calling) Close() error { return nil }

// together returns a call that ends once n of them are under way.
func together(n int) calling {
	var begun sync.WaitGroup
	begun.Add(n)
	return func(ctx context.Context, _ int) error {
		begun.Done()
		all := make(chan struct{})
		go func() { begun.Wait(); close(all) }()
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errBroken = errors.New("broken")

func TestClosedLoop(t *testing.T) {
	t.Parallel()
	var calls, busy [3]atomic.Int64
	l, err := closedLoop(t.Context(), calling(func(_ context.Context, worker int) error {
		if busy[worker].Add(1) != 1 {
			t.Error("a worker makes two calls at a time")
		}
		calls[worker].Add(1)
		busy[worker].Add(-1)
		return nil
	}), newTokens(), 3, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for i := range calls {
		if calls[i].Load() == 0 {
			t.Errorf("worker %d makes no call", i)
		}
		made += int(calls[i].Load())
	}
	if len(l.latencies) != made || !slices.IsSorted(l.latencies) {
		t.Errorf("%d calls have %d latencies, in order: %t", made, len(l.latencies), slices.IsSorted(l.latencies))
	}
}

// One call that fails ends the others, and is what is told.
func TestClosedLoopFails(t *testing.T) {
	t.Parallel()
	_, err := closedLoop(t.Context(), calling(func(ctx context.Context, worker int) error {
		if worker == 1 {
			return errBroken
		}
		<-ctx.Done()
		return ctx.Err()
	}), newTokens(), 3, time.Hour)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// Calls begin while others are under way.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	const n = 20
	a, err := openLoop(t.Context(), together(n), newTokens(), n*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.latencies) != n || !slices.IsSorted(a.latencies) || !slices.IsSorted(a.late) {
		t.Fatalf("got %v, late %v", a.latencies, a.late)
	}
	for i := range a.late {
		if a.late[i] < 0 || a.latencies[i] < a.late[i] {
			t.Errorf("a call that began %s late took %s in all", a.late[i], a.latencies[i])
		}
	}
	// The first waits for the last, and counts from when it was due.
	if least := (n - 1) * time.Millisecond; a.latencies[n-1] < least {
		t.Errorf("the longest took %s, but waited %s for the last", a.latencies[n-1], least)
	}
}

func TestOpenLoopFails(t *testing.T) {
	t.Parallel()
	_, err := openLoop(t.Context(), calling(func(context.Context, int) error { return errBroken }), newTokens(), time.Hour)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestCallAtOnce(t *testing.T) {
	t.Parallel()
	const n = 50
	if l := callAtOnce(t.Context(), together(n), newTokens(), n); l.failed != 0 || l.slowest <= 0 {
		t.Errorf("got %+v", l)
	}
	l := callAtOnce(t.Context(), calling(func(_ context.Context, i int) error {
		if i%10 == 0 {
			return errBroken
		}
		return nil
	}), newTokens(), n)
	if l.failed != n/10 || l.complaint != errBroken.Error() {
		t.Errorf("got %+v", l)
	}
}
