package soak

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestGrown(t *testing.T) {
	t.Parallel()
	goroutines := func(counts ...float64) (all []sample) {
		for _, n := range counts {
			all = append(all, sample{goroutines: n})
		}
		return all
	}
	// The sample at the start and that of the warm-up are left out: the one after the
	// first of warmUp cycles is samples[warmUp].
	for name, tt := range map[string]struct {
		samples []sample
		grown   bool
	}{
		"steady":                         {goroutines(10, 30, 30, 31, 30, 30), false},
		"up to what is allowed":          {goroutines(10, 30, 30, 34, 34, 34), false},
		"a leak":                         {goroutines(10, 30, 32, 34, 36, 36), true},
		"only before the warm-up's end":  {goroutines(10, 40, 40, 40, 40, 40), false},
		"one bad moment at the end":      {goroutines(10, 30, 30, 30, 90, 30), false},
		"one bad moment at the start":    {goroutines(10, 90, 30, 36, 36, 36), true},
		"a leak that one moment hides":   {goroutines(10, 30, 30, 90, 40, 40), true},
		"too few samples to compare":     {goroutines(10, 90), false},
		"as few as there can be, steady": {goroutines(10, 30, 30), false},
	} {
		if err := grown(1, tt.samples); (err != nil) != tt.grown {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, s := range []sample{{heap: 1}, {descriptors: 10}} {
		if grown(1, []sample{{}, {}, {}, s, s}) == nil {
			t.Errorf("growth of %+v goes unseen", s)
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
		t.Error("a second is enough to tell growth")
	}
}

// Where a token has been revoked.
var (
	inNone  = map[string]bool{localRegion: false, remoteRegion: false}
	inLocal = map[string]bool{localRegion: true, remoteRegion: false}
	inAll   = map[string]bool{localRegion: true, remoteRegion: true}
)

func TestJudge(t *testing.T) {
	t.Parallel()
	unreached := answer{reason: "UPSTREAM_UNREACHABLE", state: notApplied}
	pending := answer{reason: "CONSISTENCY_TIMEOUT", state: inProgress}
	rejected := answer{reason: tokenRejected, state: notApplied}
	for name, tt := range map[string]struct {
		call    call
		answer  answer
		revoked map[string]bool
		want    string // part of the complaint; empty for an answer that is right
	}{
		"revoked":                      {call{}, answer{outcome: "REVOKED"}, inLocal, ""},
		"revoked nowhere":              {call{}, answer{outcome: "REVOKED"}, inNone, "alive"},
		"revoked everywhere":           {call{allRegions: true}, answer{outcome: "REVOKED"}, inAll, ""},
		"not revoked everywhere":       {call{allRegions: true}, answer{outcome: "REVOKED"}, inLocal, "alive in some region"},
		"invalid after an own attempt": {call{allRegions: true}, answer{outcome: "ALREADY_INVALID"}, inLocal, ""},
		"invalid, but alive":           {call{}, answer{outcome: "ALREADY_INVALID"}, inNone, "alive"},
		"204, but alive":               {call{transport: dropIn}, answer{outcome: "204"}, inNone, "alive"},
		"revoked twice":                {call{repeated: true}, answer{outcome: "REVOKED"}, inLocal, "dead before"},
		"repeated":                     {call{repeated: true}, answer{outcome: "ALREADY_INVALID"}, inLocal, ""},
		"repeated and rejected":        {call{repeated: true}, rejected, inLocal, ""},
		"fresh, but rejected":          {call{}, rejected, inNone, "no cause"},
		"not applied":                  {call{}, unreached, inNone, ""},
		"not applied, but dead":        {call{}, unreached, inLocal, "dead"},
		"repeated and not applied":     {call{repeated: true}, unreached, inLocal, ""},
		"in progress":                  {call{}, pending, inLocal, ""},
		"in progress nowhere":          {call{}, pending, inNone, "nothing is in progress"},
		"deadline too short":           {call{deadline: 1}, answer{reason: tooShort, state: notApplied}, inNone, ""},
		"too short without a deadline": {call{}, answer{reason: tooShort, state: notApplied}, inNone, "no cause"},
		"cancelled":                    {call{leaves: 1}, answer{reason: callerCancelled, state: unknown}, inNone, ""},
		"cancelled by no caller":       {call{}, answer{reason: callerCancelled, state: unknown}, inNone, "no cause"},
		"malformed":                    {call{malformed: true}, answer{reason: invalidRequest, state: notApplied}, nil, ""},
		"malformed, but revoked":       {call{malformed: true}, answer{outcome: "REVOKED"}, nil, "INVALID_REQUEST"},
		"invalid request without any":  {call{}, answer{reason: invalidRequest, state: notApplied}, inNone, "no cause"},
		"a defect":                     {call{}, answer{reason: "INTERNAL", state: unknown}, inNone, "no cause"},
		"no answer":                    {call{}, answer{err: errNoAnswer}, inNone, "no answer"},
		"the caller left":              {call{leaves: 1}, answer{left: true}, inNone, ""},
	} {
		j := &judge{revoked: func(string) (map[string]bool, error) { return tt.revoked, nil }}
		if got := j.wrong(&tt.call, tt.answer); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// What an answer says of later is checked later, once.
func TestJudgeChecksClaims(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer   answer
		at, then map[string]bool
		want     string
	}{
		"stays alive":        {answer{reason: "UPSTREAM_UNREACHABLE", state: notApplied}, inNone, inNone, ""},
		"dies after all":     {answer{reason: "UPSTREAM_UNREACHABLE", state: notApplied}, inNone, inLocal, "afterwards"},
		"gets there":         {answer{reason: "CONSISTENCY_TIMEOUT", state: inProgress}, inLocal, inAll, ""},
		"does not get there": {answer{reason: "CONSISTENCY_TIMEOUT", state: inProgress}, inLocal, inLocal, "still alive"},
		"unknown":            {answer{reason: "UPSTREAM_TIMEOUT", state: unknown}, inNone, inLocal, ""},
	} {
		regions := tt.at
		j := &judge{revoked: func(string) (map[string]bool, error) { return regions, nil }}
		if wrong := j.wrong(&call{token: "a.secret.token"}, tt.answer); wrong != "" {
			t.Fatalf("%s: %s", name, wrong)
		}
		regions = tt.then
		got := strings.Join(j.check(), "\n")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %q, want %q and no token", name, got, tt.want)
		}
		if len(j.check()) > 0 {
			t.Errorf("%s: reported twice", name)
		}
	}
	j := &judge{revoked: func(string) (map[string]bool, error) { return nil, errors.New("expired") }}
	if got := j.wrong(&call{}, answer{outcome: "REVOKED"}); !strings.Contains(got, "cannot tell") {
		t.Errorf("a sandbox that cannot tell: %q", got)
	}
}

func TestCheckLogLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"level":"INFO","msg":"serving"}`:             "",
		`{"level":"WARN","msg":"revocation failed"}`:   "",
		`{"level":"ERROR","msg":"panic"}`:              "is an error",
		`{"level":"INFO","msg":"eyJhbGciOi.eyJzdWIi"}`: "holds a token",
		`panic: runtime error`:                         "is not a log line",
	} {
		if got := checkLogLine([]byte(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
