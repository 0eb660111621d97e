package compare

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Every target compares rows that are measured, or it would go unnoticed.
func TestTargetsAreMeasured(t *testing.T) {
	t.Parallel()
	measured := func(r row) bool {
		return slices.ContainsFunc(contenders, func(c contender) bool {
			return c.name == r.contender && slices.Contains(c.transports, r.transport) && !c.alone
		})
	}
	for _, target := range costTargets {
		if !measured(target.of) || !measured(target.to) || target.of.upstream != target.to.upstream {
			t.Errorf("%+v", target)
		}
	}
}

func results(errs ...error) (all []result) {
	for i, err := range errs {
		all = append(all, result{due: time.Duration(i) * time.Second, err: err})
	}
	return all
}

func TestOutage(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, tt := range map[string]struct {
		results []result
		failed  int
		lasted  time.Duration
		ended   bool
	}{
		"none":           {results(nil, nil, nil), 0, 0, true},
		"one call":       {results(nil, failed, nil), 1, 0, true},
		"with a gap":     {results(failed, nil, nil, failed, nil), 2, 3 * time.Second, true},
		"until the end":  {results(nil, failed, failed), 2, time.Second, false},
		"from the start": {results(failed, failed, failed), 3, 2 * time.Second, false},
	} {
		lasted, ended := outage(tt.results)
		n, err := failures(tt.results)
		if lasted != tt.lasted || ended != tt.ended || n != tt.failed || (err != nil) != (n > 0) {
			t.Errorf("%s: %d failed for %s, ended %t, first %v", name, n, lasted, ended, err)
		}
	}
}

func TestRecoveryVerdict(t *testing.T) {
	t.Parallel()
	behind, stuck := scenario{}, scenario{lasts: time.Minute, mostOutage: mostOutage}
	for name, tt := range map[string]struct{ got, want string }{
		"no failure":     {behind.verdict(0, 0, true), "met"},
		"one failure":    {behind.verdict(1, 0, true), "**missed**"},
		"within 30 s":    {stuck.verdict(50, mostOutage, true), "met"},
		"later":          {stuck.verdict(50, mostOutage+1, true), "**missed**"},
		"not at all":     {stuck.verdict(50, time.Second, false), "**missed**"},
		"without outage": {stuck.verdict(0, 0, true), "met"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
}

func TestInFlightVerdicts(t *testing.T) {
	t.Parallel()
	const yes, no = "met", "**missed**"
	good := held{connections: mostAtOnce, late: mostLate, peak: 200e6}
	bad := held{failed: 1, connections: mostAtOnce + 1, late: mostLate + 1, peak: mostPeak + 1}
	for name, tt := range map[string]struct {
		w            waiting
		h            held
		textbookPeak int64
		want         [4]string
	}{
		"met":                    {waiting{quash.name, overGRPC, atOnce, 0}, good, 300e6, [4]string{yes, yes, yes, yes}},
		"missed":                 {waiting{quash.name, overGRPC, atOnce, 0}, bad, 900e6, [4]string{no, no, no, no}},
		"more than the textbook": {waiting{quash.name, overGRPC, atOnce, 0}, good, 199e6, [4]string{yes, yes, yes, no}},
		"built up":               {waiting{quash.name, overGRPC, builtUp, 1}, held{connections: mostAfterBuild + 1}, 1, [4]string{yes, no, "", ""}},
		"built up over REST":     {waiting{quash.name, native, builtUp, 1}, bad, 1, [4]string{no, "", "", ""}},
		"another has no targets": {waiting{textbook.name, overGRPC, atOnce, 0}, bad, 1, [4]string{}},
	} {
		var got [4]string
		got[0], got[1], got[2], got[3] = tt.w.verdicts(tt.h, tt.textbookPeak)
		if got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The failures of all rounds count, of the figures the medians.
func TestSummary(t *testing.T) {
	t.Parallel()
	got := summary([]held{{failed: 2, peak: 9, perCall: 3}, {peak: 1, perCall: 5}, {failed: 1, peak: 5, perCall: 4}})
	if want := (held{failed: 3, peak: 5, perCall: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What is added is the median of the differences of the rounds, not the difference of the
// medians.
func TestAdded(t *testing.T) {
	t.Parallel()
	p50 := func(l latency) time.Duration { return l.p50 }
	of, base := []latency{{p50: 4}, {p50: 6}, {p50: 4}}, []latency{{p50: 1}, {p50: 5}, {p50: 2}}
	if got := added(of, base, p50); got != 2 {
		t.Errorf("3, 1 and 2 are added: got %d", got)
	}
}
