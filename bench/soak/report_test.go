package main

import (
	"strings"
	"testing"
	"time"
)

func TestSamplesCSV(t *testing.T) {
	t.Parallel()
	got := string(samplesCSV([]sample{{
		at: 1500 * time.Millisecond, phase: "calm", calls: 7, goroutines: 21, heap: 3, descriptors: 17, rss: 4096,
	}}))
	want := "seconds,phase,calls,goroutines,heap_bytes,descriptors,rss_bytes\n1.50,calm,7,21,3,17,4096\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintTally(t *testing.T) {
	t.Parallel()
	var counts tally
	counts.answered(answer{door: overGRPC, code: "OK", outcome: outcomeRevoked}, "")
	counts.answered(answer{door: overGRPC, code: "OK", outcome: outcomeRevoked}, "the token is alive")
	counts.answered(answer{door: overDropIn, status: 503, reason: "UPSTREAM_UNREACHABLE", state: stateUnknown}, "")
	counts.happened("connections", "")
	var b strings.Builder
	counts.print(&b)
	want := `                        answer  gRPC  native  drop-in
                       REVOKED     2       0        0
  UPSTREAM_UNREACHABLE UNKNOWN     0       0        1
                           all     2       0        1

connections: 1
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if counts.wrongSoFar() != 1 || counts.calls.Load() != 3 {
		t.Errorf("%d wrong of %d", counts.wrongSoFar(), counts.calls.Load())
	}
}

func TestPrintMeasures(t *testing.T) {
	t.Parallel()
	all := []sample{
		{phase: quiet, goroutines: 9},
		{phase: "calm", goroutines: 300, calls: 500},
		{phase: quiet, goroutines: 20, calls: 1000},
		{phase: "calm", goroutines: 310, calls: 1500},
		{phase: quiet, goroutines: 23, calls: 2000},
		{phase: quiet, goroutines: 23, calls: 2000},
	}
	var b strings.Builder
	printMeasures(&b, all, []sample{all[2], all[4], all[5]})
	lines := strings.Split(b.String(), "\n")
	if got, want := strings.Join(strings.Fields(lines[1]), " "), "goroutines 9 20 23 4 +3 310 1500"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Reset()
	printMeasures(&b, all, nil)
	if !strings.Contains(b.String(), "nothing is compared") {
		t.Errorf("got %q", b.String())
	}
}
