package main

import (
	"fmt"
	"time"
)

// plan is how a run goes: cycles, in each of which all phases of faults are gone
// through under load, and after which the load ends. What quash holds then is
// measured, and nothing else is compared: under load the figures are those of the
// load.
type plan struct {
	cycles int
	// load is how long there are calls in a cycle.
	load time.Duration
	// warmUp is how many cycles there are before the first that is compared.
	// Caches fill in them, and what the runtime keeps for its busiest moment.
	warmUp int
}

const (
	minDuration = time.Minute
	// minCycle leaves each phase about a second.
	minCycle = 15 * time.Second
	maxCycle = 90 * time.Second
	// aimedCycles are enough to tell growth from one bad moment.
	aimedCycles = 6
	// quietTime is about what it takes until nothing moves any more.
	quietTime = 4 * time.Second
)

func planFor(duration time.Duration) (plan, error) {
	if duration < minDuration {
		return plan{}, fmt.Errorf("-duration %s is too short to tell growth: give at least %s", duration, minDuration)
	}
	cycles := max(int(duration/maxCycle), min(aimedCycles, int(duration/minCycle)))
	return plan{
		cycles: cycles,
		load:   duration/time.Duration(cycles) - quietTime,
		warmUp: max(1, cycles/aimedCycles),
	}, nil
}

// tokenLifetime is how long tokens live: past the end of their cycle, when the
// sandbox is asked once more what became of them, and not much longer, since it
// remembers a revocation as long as its token lives.
func (p plan) tokenLifetime() time.Duration { return p.load + 2*time.Minute }
