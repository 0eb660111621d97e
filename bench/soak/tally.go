package main

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxComplaints are told; there may be thousands when something is wrong.
const maxComplaints = 20

// tally counts what the calls came to. The zero value is ready.
type tally struct {
	calls atomic.Int64

	mu sync.Mutex
	// answers are by label, then by door.
	answers map[string]*[len(doorNames)]int
	// events are what is not a call, such as connections that were opened.
	events map[string]int
	// complaints are the first answers that must not be, of wrong altogether.
	complaints []string
	wrong      int
}

// answered counts one call, and why its answer must not be, if so.
func (t *tally) answered(a answer, complaint string) {
	t.calls.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers == nil {
		t.answers = map[string]*[len(doorNames)]int{}
	}
	label := a.label()
	if t.answers[label] == nil {
		t.answers[label] = &[len(doorNames)]int{}
	}
	t.answers[label][a.door]++
	t.complain(complaint)
}

// happened counts an event, and what was wrong with it, if anything.
func (t *tally) happened(event, complaint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil {
		t.events = map[string]int{}
	}
	t.events[event]++
	t.complain(complaint)
}

// complain is for callers that hold t.mu.
func (t *tally) complain(complaint string) {
	if complaint == "" {
		return
	}
	t.wrong++
	if len(t.complaints) < maxComplaints {
		t.complaints = append(t.complaints, complaint)
	}
}

// wrongSoFar is how many answers must not have been.
func (t *tally) wrongSoFar() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wrong
}

// neverMet are the reasons, and the doors' successes, that no call came to: where a
// fault is not met nothing is known of it.
func (t *tally) neverMet() (missing []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, reason := range append(slices.Clone(always), reasonTokenRejected, reasonTooShort, reasonInvalidRequest) {
		met := false
		for label := range t.answers {
			met = met || strings.HasPrefix(label, reason+" ")
		}
		if !met {
			missing = append(missing, reason)
		}
	}
	for d, name := range doorNames {
		successes := 0
		for label, counts := range t.answers {
			if label == outcomeRevoked || label == "204" {
				successes += counts[d]
			}
		}
		if successes == 0 {
			missing = append(missing, "with success over "+name)
		}
	}
	return missing
}
