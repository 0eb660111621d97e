package main

import (
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	for duration, want := range map[time.Duration]plan{
		time.Minute:      {cycles: 4, load: 11 * time.Second, warmUp: 1},
		2 * time.Minute:  {cycles: 6, load: 16 * time.Second, warmUp: 1},
		9 * time.Minute:  {cycles: 6, load: 86 * time.Second, warmUp: 1},
		30 * time.Minute: {cycles: 20, load: 86 * time.Second, warmUp: 3},
		8 * time.Hour:    {cycles: 320, load: 86 * time.Second, warmUp: 53},
	} {
		got, err := planFor(duration)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", duration, got, err, want)
		}
	}
	if _, err := planFor(time.Minute - 1); err == nil {
		t.Error("no run is too short")
	}
}

// Every phase gets its share of a cycle, and together they fill it.
func TestPhasesFillACycle(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	for i := range phases {
		lasts := phases[i].lasts(16 * time.Second)
		if lasts < 500*time.Millisecond {
			t.Errorf("%s lasts %s of a short cycle", phases[i].name, lasts)
		}
		sum += lasts
	}
	if sum > 16*time.Second || sum < 16*time.Second-time.Microsecond {
		t.Errorf("the phases take %s", sum)
	}
}
