package main

import (
	"regexp"
	"testing"
)

func TestFigure(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		pattern    *regexp.Regexp
		want       int64
	}{
		{"goroutines", "goroutine profile: total 21\n4 @ 0x47 0x48\n# total 7\n", goroutineTotal, 21},
		{"heap", "heap profile: 1: 2 [3: 4] @ heap/8192\n\n# HeapAlloc = 3048120\n# HeapSys = 99\n", heapAlloc, 3048120},
		{"resident memory", "Name:\tquash\nVmHWM:\t 9 kB\nVmRSS:\t   38796 kB\nThreads:\t7\n", vmRSS, 38796},
	} {
		got, err := figure([]byte(tc.text), tc.pattern)
		if err != nil || got != tc.want {
			t.Errorf("%s: %d, %v, want %d", tc.name, got, err, tc.want)
		}
		if _, err := figure([]byte("something else\n"), tc.pattern); err == nil {
			t.Errorf("%s: found where it is not", tc.name)
		}
	}
}

// What is under load counts for the peak, and what is at a quiet time does not.
func TestPeak(t *testing.T) {
	t.Parallel()
	m := &measure{of: func(s sample) float64 { return float64(s.goroutines) }}
	if got := m.peak([]sample{{phase: quiet, goroutines: 9}, {phase: "calm", goroutines: 7}, {phase: "slow", goroutines: 3}}); got != 7 {
		t.Errorf("got %g", got)
	}
}
