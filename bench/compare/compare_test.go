package compare

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quashdev/quash/bench/calls"
)

// Every target compares rows that are measured. Otherwise it would never be checked.
func TestTargetsAreMeasured(t *testing.T) {
	t.Parallel()
	all := rows(contenders)
	for _, c := range contenders {
		for _, target := range c.targets {
			for _, r := range []row{{quash, target.quash, target.upstream}, {c, target.contender, target.upstream}} {
				if !slices.Contains(all, r) {
					t.Errorf("%s: no row is measured for %+v", c.name, target)
				}
			}
		}
	}
	for w := range inFlightLimits {
		if !slices.Contains(inFlight, w) || !slices.Contains(inFlight, w.by(textbook)) || !slices.Contains(inFlight, w.by(usual)) {
			t.Errorf("%s: not measured with each contender", w)
		}
	}
}

// A result is true if what it says of the token agrees with the ledger.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		result        result
		before, after bool
		want          string
	}{
		{result{code: "OK"}, false, true, "yes"},
		{result{code: "OK"}, false, false, "**no**"},
		{result{code: "InvalidArgument"}, true, true, "yes"},
		{result{code: "InvalidArgument"}, false, true, "**no**"},
		{result{code: "DeadlineExceeded"}, false, true, "does not say"},
		{result{code: "DeadlineExceeded", state: "IN_PROGRESS"}, false, true, "yes"},
		{result{code: "Unavailable", state: "NOT_APPLIED"}, false, true, "**no**"},
		{result{code: "InvalidArgument", state: "UNKNOWN"}, false, true, "does not say"},
		{result{}, false, true, "does not say"},
	} {
		if got := tt.result.verdict(tt.before, tt.after); got != tt.want {
			t.Errorf("%s, dead before: %t, after: %t: got %s, want %s", tt.result, tt.before, tt.after, got, tt.want)
		}
	}
}

func TestLogged(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]string{
		"serving grpc=a http=b admin=none\n":                                                                 "nothing",
		`{"msg":"finished call","grpc.code":"Canceled"}` + "\n" + `{"msg":"bye"}`:                            "Canceled",
		`{"code":"Canceled","state":"UNKNOWN"}` + "\n" + `{"msg":"late outcome","outcome":"revoked"}` + "\n": "OK, REVOKED",
	} {
		if got := logged(log).String(); got != want {
			t.Errorf("%s: got %s, want %s", log, got, want)
		}
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, tt := range map[string]struct {
		errs []error
		want time.Duration
	}{
		"none":           {[]error{nil, nil}, 0},
		"one call":       {[]error{nil, failed, nil}, time.Second},
		"with a gap":     {[]error{failed, nil, nil, failed, nil}, 4 * time.Second},
		"until the end":  {[]error{nil, failed, failed}, never},
		"from the start": {[]error{failed, failed}, never},
	} {
		results := make([]calls.Result, len(tt.errs))
		for i, err := range tt.errs {
			results[i] = calls.Result{Due: time.Duration(i) * time.Second, Err: err}
		}
		if got := outage(results); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// A summary has the sum of the failures and the medians of the other figures.
func TestSummary(t *testing.T) {
	t.Parallel()
	got := summary([]held{{failed: 2, peak: 9, perCall: 3}, {peak: 1, perCall: 5}, {failed: 1, peak: 5, perCall: 4}})
	if want := (held{failed: 3, peak: 5, perCall: 4}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The added latency is the median of the rounds' differences, not the difference of the medians.
func TestAdded(t *testing.T) {
	t.Parallel()
	p50 := func(l latency) time.Duration { return l.p50 }
	of, base := []latency{{p50: 4}, {p50: 6}, {p50: 4}}, []latency{{p50: 1}, {p50: 5}, {p50: 2}}
	if got := added(of, base, p50); got != 2 {
		t.Errorf("3, 1 and 2 are added: got %d", got)
	}
}
