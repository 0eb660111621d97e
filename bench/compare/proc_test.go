package main

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const after = " S 1 4711 4711 0 -1 4194560 10 0 0 0 250 75 0 0 20 0 9 0 100 1 1"
	for _, name := range []string{"(quash)", "(a) b (c)", "()"} {
		got, err := parseStat("4712 " + name + after)
		if err != nil || got != (stat{4711, 3250 * time.Millisecond}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, line := range []string{"", "1 (quash) S 1 2", "1 (quash) S 1 x 0 0 0 0 0 0 0 0 1 1"} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	status := []byte("Name:\tquash\nVmHWM:\t    1234 kB\nVmRSS:\t     567 kB\n")
	for name, want := range map[string]int64{vmHWM: 1234 << 10, vmRSS: 567 << 10} {
		if got, err := parseStatus(status, name); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, want)
		}
	}
	if got, err := parseStatus([]byte("Name:\tVmRSS\n"), vmRSS); err == nil {
		t.Errorf("nothing is %d", got)
	}
}

// What a process has used is there while it is, and not afterwards.
func TestUsage(t *testing.T) {
	t.Parallel()
	s := newTestSetup(t)
	p, err := start(t.Context(), s.child("nothing"))
	if err != nil {
		t.Fatal(err)
	}
	used, err := p.usage()
	if err != nil || used.resident <= 0 || used.highest < used.resident {
		t.Errorf("got %+v, %v", used, err)
	}
	p.stop()
	if used, err := p.usage(); err == nil {
		t.Errorf("a process that has ended uses %+v", used)
	}
}
