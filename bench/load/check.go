package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkReport returns what is wrong with ghz's report.
func (p plan) checkReport(r *report) error {
	return errors.Join(p.checkConfig(r), p.checkAnswers(r), p.checkLatency(r))
}

// checkConfig returns in what ghz did not do as it was told: a setting that it did not
// understand, another version, an end before its time. What it says instead is its own
// words, and left out.
func (p plan) checkConfig(r *report) error {
	var wrong []error
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"call", r.Options.Call, p.Call},
		{"total", r.Options.Total, p.Total},
		{"concurrency", r.Options.Concurrency, p.Concurrency},
		{"connections", r.Options.Connections, p.Connections},
		{"timeout", r.Options.Timeout, p.timeout},
		{"binary", r.Options.Binary, true},
		{"endReason", r.EndReason, "normal"},
	} {
		if c.got != c.want {
			wrong = append(wrong, fmt.Errorf("ghz's report does not have %s %v", c.what, c.want))
		}
	}
	return errors.Join(wrong...)
}

// checkAnswers returns what is missing for every call to have been made, and OK.
func (p plan) checkAnswers(r *report) error {
	var wrong []error
	if r.Count != p.Total || len(r.Details) != p.Total {
		wrong = append(wrong, fmt.Errorf("ghz made %d calls and reports %d, not %d", r.Count, len(r.Details), p.Total))
	}
	var failed []string
	for _, status := range r.statuses() {
		if status != statusOK {
			failed = append(failed, fmt.Sprintf("%d %s", r.Statuses[status], status))
		}
	}
	if len(failed) > 0 {
		wrong = append(wrong, fmt.Errorf("calls failed: %s; quash's log says why", strings.Join(failed, ", ")))
	}
	if n := r.Statuses[statusOK]; len(failed) == 0 && n != p.Total {
		wrong = append(wrong, fmt.Errorf("%d calls were OK, not %d", n, p.Total))
	}
	return errors.Join(wrong...)
}

// checkTruth returns an error unless OK was true whenever it was said: the token was dead
// by then, in the regions that the call had asked for. ghz does not say which answer was
// for which token, but at no time may there have been more of them than dead tokens.
func (p plan) checkTruth(r *report, tokens []token, deaths map[string]death) error {
	var dead []time.Time
	for i, t := range tokens {
		when := death.locally
		if p.consistency(i) == all {
			when = death.everywhere
		}
		if at, ok := when(deaths[t.jti]); ok {
			dead = append(dead, at)
		}
	}
	var answers []time.Time
	for _, d := range r.Details {
		if d.Status == statusOK {
			answers = append(answers, d.Timestamp)
		}
	}
	if len(answers) > len(dead) {
		return fmt.Errorf("%d calls were OK, but only %d tokens are dead where they were to be", len(answers), len(dead))
	}
	slices.SortFunc(dead, time.Time.Compare)
	slices.SortFunc(answers, time.Time.Compare)
	for i, at := range answers {
		if at.Before(dead[i]) {
			return fmt.Errorf("OK number %d came at %s, when only %d tokens were dead where they were to be", i+1, at.Format(time.StampMicro), i)
		}
	}
	return nil
}

// checkLatency returns an error when there is a limit, and it was passed.
func (p plan) checkLatency(r *report) error {
	if took := r.percentile(99); p.p99 > 0 && took > p.p99 {
		return fmt.Errorf("one call in a hundred took %s or longer, and the limit is %s", short(took), p.p99)
	}
	return nil
}
