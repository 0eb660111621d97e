package soak

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/bench/calls"
)

func TestGrowth(t *testing.T) {
	t.Parallel()
	goroutines := func(counts ...float64) (all []held) {
		for _, n := range counts {
			all = append(all, held{n})
		}
		return all
	}
	// Growth is compared from samples[warmUp], the sample after the last warm-up cycle.
	for name, tt := range map[string]struct {
		samples []held
		grown   bool
	}{
		"steady":                         {goroutines(10, 30, 30, 31, 30, 30), false},
		"up to the limit":                {goroutines(10, 30, 30, 34, 34, 34), false},
		"a leak":                         {goroutines(10, 30, 32, 34, 36, 36), true},
		"only during the warm-up":        {goroutines(10, 40, 40, 40, 40, 40), false},
		"a disturbance at the end":       {goroutines(10, 30, 30, 30, 90, 30), false},
		"a disturbance at the start":     {goroutines(10, 90, 30, 36, 36, 36), true},
		"a leak behind a disturbance":    {goroutines(10, 30, 30, 90, 40, 40), true},
		"too few samples to compare":     {goroutines(10, 30), true},
		"the minimum of samples, steady": {goroutines(10, 30, 30), false},
	} {
		if _, err := growth(1, tt.samples); (err != nil) != tt.grown {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for i, limit := range limits {
		var grown held
		grown[i] = limit.allowed + 1
		if _, err := growth(1, []held{{}, {}, {}, grown, grown}); err == nil {
			t.Errorf("growth of %s is not detected", limit.name)
		}
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for duration, want := range map[time.Duration]plan{
		time.Minute:      {cycles: 4, load: 11 * time.Second, warmUp: 1},
		2 * time.Minute:  {cycles: 4, load: 26 * time.Second, warmUp: 1},
		30 * time.Minute: {cycles: 20, load: 86 * time.Second, warmUp: 3},
	} {
		if got, err := newPlan(duration); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", duration, got, err, want)
		}
	}
	if _, err := newPlan(time.Second); err == nil {
		t.Error("a duration of one second is accepted")
	}
}

func TestWrong(t *testing.T) {
	t.Parallel()
	const alive, local, dead = 0, 1, 2 // the number of regions, of two, in which the token is dead
	failed := func(reason, state string) error { return &calls.FailureError{Reason: reason, State: state} }
	for name, tt := range map[string]struct {
		result error
		dead   int
		want   string // part of the complaint; empty for a correct answer
	}{
		"success":                  {nil, dead, ""},
		"success, but alive":       {nil, alive, "alive"},
		"success, but alive there": {nil, local, "alive"},
		"not applied":              {failed("UPSTREAM_UNREACHABLE", "NOT_APPLIED"), alive, ""},
		"not applied, but dead":    {failed("UPSTREAM_UNREACHABLE", "NOT_APPLIED"), local, "dead"},
		"in progress":              {failed("CONSISTENCY_TIMEOUT", "IN_PROGRESS"), dead, ""},
		"in progress, but alive":   {failed("CONSISTENCY_TIMEOUT", "IN_PROGRESS"), local, "alive"},
		"unknown":                  {failed("UPSTREAM_TIMEOUT", "UNKNOWN"), local, ""},
		"fresh, but rejected":      {failed("TOKEN_REJECTED", "NOT_APPLIED"), alive, "no fault explains"},
		"a defect":                 {failed("INTERNAL", "UNKNOWN"), alive, "no fault explains"},
		"no answer":                {errors.New("503 without reason and state"), alive, "without reason"},
		"the caller disconnected":  {errLeft, local, ""},
	} {
		if got := wrong(tt.result, tt.dead > 0, tt.dead == 2); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	s := &soak{counts: map[string]int{"dead": 1}}
	if err := s.missing(); err == nil || !strings.Contains(err.Error(), reasons[0]) {
		t.Errorf("no reason occurred: got %v", err)
	}
	for _, reason := range reasons {
		s.counts[reason+" UNKNOWN"] = 1
	}
	if err := s.missing(); err != nil {
		t.Errorf("every reason occurred: got %v", err)
	}
}

func TestCheckLog(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"level":"INFO","msg":"serving"}`:             "",
		`{"level":"WARN","msg":"revocation failed"}`:   "",
		`{"level":"ERROR","msg":"panic"}`:              "has level ERROR",
		`{"level":"INFO","msg":"eyJhbGciOi.eyJzdWIi"}`: "contains a token",
		`panic: runtime error`:                         "is not a log line",
	} {
		path := filepath.Join(t.TempDir(), "quash.log")
		if err := os.WriteFile(path, []byte("{\"level\":\"INFO\"}\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := checkLog(path); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "eyJ") {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
