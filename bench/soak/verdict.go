package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// verdict returns why the soak failed.
func (r *run) verdict() (failures []error) {
	if r.tally.wrong > 0 {
		return []error{fmt.Errorf("%d answers must not be, of which the first are:\n  %s\nquash's side of them is in %s",
			r.tally.wrong, strings.Join(r.tally.complaints, "\n  "), r.quash.logPath)}
	}
	if missing := r.tally.neverMet(); len(missing) > 0 {
		failures = append(failures, fmt.Errorf("the load is not what it should be: no call was answered %s", strings.Join(missing, ", ")))
	}
	for i := range measures {
		m := &measures[i]
		if g := verdictOn(m, r.quietSamples()); g.tooMuch() {
			failures = append(failures, fmt.Errorf("%s grew from %.4g to %.4g, by more than the %.4g allowed (%+.3g for 1000 calls); see\n  %s",
				m.title(), g.from, g.to, m.allowed, g.perThousand, r.lookAt(m)))
		}
		if peak := m.peak(r.record.samples); peak > m.most {
			failures = append(failures, fmt.Errorf("%s: %.4g under load, more than the %.4g that %d callers can need; see %s",
				m.title(), peak, m.most, callers, filepath.Join(r.out, "soak.svg")))
		}
	}
	return failures
}

// growth is how one measure has changed over a run.
type growth struct {
	*measure

	from, to float64
	// perThousand is the change for every thousand calls.
	perThousand float64
}

// verdictOn compares what quash held first with what it held last, of the samples
// taken at quiet times after the warm-up, the last two of which have no load between
// them. Each end is the lower of two samples, so that one bad moment, which can only
// add, is neither taken for growth nor hides it. A leak adds to every sample after
// it.
func verdictOn(m *measure, quietSamples []sample) growth {
	n := len(quietSamples)
	if n == 0 {
		return growth{measure: m}
	}
	lower := func(a, b sample) float64 { return min(m.of(a), m.of(b)) }
	first, last := quietSamples[0], quietSamples[n-1]
	g := growth{
		measure: m,
		from:    lower(first, quietSamples[min(1, n-1)]),
		to:      lower(quietSamples[max(n-2, 0)], last),
	}
	if calls := last.calls - first.calls; calls > 0 {
		g.perThousand = 1000 * (g.to - g.from) / float64(calls)
	}
	return g
}

func (g growth) tooMuch() bool { return g.allowed > 0 && g.to-g.from > g.allowed }
