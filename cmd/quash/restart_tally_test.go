package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally counts by name.
type tally struct {
	mu      sync.Mutex
	n       map[string]int
	changed chan struct{} // closed and replaced whenever a count changes
}

func newTally() *tally { return &tally{n: map[string]int{}, changed: make(chan struct{})} }

func (c *tally) add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name] += n
	close(c.changed)
	c.changed = make(chan struct{})
}

// await waits until the counts are as they are to be.
func (c *tally) await(ctx context.Context, t *testing.T, reached func(n map[string]int) bool) {
	t.Helper()
	for {
		c.mu.Lock()
		ok, changed := reached(c.n), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("it does not come to that; there are %s", c)
		}
	}
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		counts = append(counts, fmt.Sprintf("%s %d", name, c.n[name]))
	}
	return strings.Join(counts, ", ")
}
