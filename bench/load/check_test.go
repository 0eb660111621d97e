package main

import (
	"errors"
	"testing"
	"time"
)

// What ghz wrote of four calls that were OK passes; with anything else in it, it fails,
// and says by what.
func TestCheckReport(t *testing.T) {
	t.Parallel()
	p := recordedPlan(t, "local_region")
	p.p99 = time.Minute
	options := func(name string, value any) func(map[string]any) {
		return func(r map[string]any) { r["options"].(map[string]any)[name] = value }
	}
	statuses := func(value map[string]any) func(map[string]any) {
		return func(r map[string]any) { r["statusCodeDistribution"] = value }
	}
	for name, test := range map[string]struct {
		edit func(report map[string]any)
		want string
	}{
		"passed":             {func(map[string]any) {}, ""},
		"too few":            {func(r map[string]any) { r["count"] = 3 }, "ghz made 3 calls and reports 4, not 4"},
		"too few details":    {func(r map[string]any) { r["details"] = r["details"].([]any)[1:] }, "ghz made 4 calls and reports 3, not 4"},
		"none":               {func(r map[string]any) { clear(r) }, "ghz's report does not have call quash.v1.TokenService/Revoke\nghz's report does not have total 4\nghz's report does not have concurrency 2\nghz's report does not have connections 2\nghz's report does not have timeout 2m10s\nghz's report does not have binary true\nghz's report does not have endReason normal\nghz made 0 calls and reports 0, not 4\n0 calls were OK, not 4"},
		"another status":     {statuses(map[string]any{"OK": 3, "Unavailable": 1}), "calls failed: 1 Unavailable; quash's log says why"},
		"no OK":              {statuses(map[string]any{"Unavailable": 3, "Canceled": 1}), "calls failed: 1 Canceled, 3 Unavailable; quash's log says why"},
		"no statuses":        {statuses(nil), "0 calls were OK, not 4"},
		"ghz's own time-out": {options("timeout", 20*time.Second), "ghz's report does not have timeout 2m10s"},
		"another call":       {options("call", "grpc.health.v1.Health/Check"), "ghz's report does not have call quash.v1.TokenService/Revoke"},
		"one connection":     {options("connections", 1), "ghz's report does not have connections 2"},
		"no concurrency":     {options("concurrency", 1), "ghz's report does not have concurrency 2"},
		"data as JSON":       {options("binary", false), "ghz's report does not have binary true"},
		"interrupted":        {func(r map[string]any) { r["endReason"] = "cancel" }, "ghz's report does not have endReason normal"},
		"slow": {func(r map[string]any) {
			r["latencyDistribution"] = []any{map[string]any{"percentage": 99, "latency": 61 * time.Second}}
		}, "one call in a hundred took 1m1s or longer, and the limit is 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edited := recorded(t, "ok.json")
			test.edit(edited)
			if got := errorText(p.checkReport(read(t, edited))); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// What ghz wrote of calls of which three failed.
func TestCheckFailed(t *testing.T) {
	t.Parallel()
	p, err := newPlan(settings{calls: 4, concurrency: 1, consistency: "local_region"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "calls failed: 2 Internal, 1 InvalidArgument; quash's log says why"
	if got := errorText(p.checkReport(read(t, recorded(t, "failed.json")))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadReport(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Summary:\n  Count:\t4\n", "[]", `{"count":"4"}`, `{"count":4`, `{"details":[{"timestamp":"soon"}]}`, `{"statusCodeDistribution":{"Fine":4}}`} {
		if _, err := readReport([]byte(text)); !errors.Is(err, errNoReport) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// Of the answers that were OK each needs a token that was dead by then.
func TestCheckTruth(t *testing.T) {
	t.Parallel()
	p := recordedPlan(t, "mixed") // token 0 locally, token 1 everywhere
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(ms int) *time.Time {
		t := begun.Add(time.Duration(ms) * time.Millisecond)
		return &t
	}
	tokens := []token{{jti: "a"}, {jti: "b"}}
	for name, test := range map[string]struct {
		deaths  map[string]death
		answers []*time.Time // in the order in which they were reported
		want    string
	}{
		"true": {
			map[string]death{"a": {"us": at(1), "eu": nil}, "b": {"us": at(2), "eu": at(200)}},
			[]*time.Time{at(201), at(2)},
			"",
		},
		"at the same time": {
			map[string]death{"a": {"us": at(1), "eu": nil}, "b": {"us": at(2), "eu": at(200)}},
			[]*time.Time{at(200), at(1)},
			"",
		},
		"the second died first": {
			map[string]death{"a": {"us": at(150), "eu": nil}, "b": {"us": at(2), "eu": at(3)}},
			[]*time.Time{at(4), at(151)},
			"",
		},
		"before the other region": {
			map[string]death{"a": {"us": at(1), "eu": nil}, "b": {"us": at(2), "eu": at(200)}},
			[]*time.Time{at(2), at(199)},
			"OK number 2 came at Nov 23 12:00:00.199000, when only 1 tokens were dead where they were to be",
		},
		"before any": {
			map[string]death{"a": {"us": at(1), "eu": nil}, "b": {"us": at(2), "eu": at(200)}},
			[]*time.Time{at(0), at(300)},
			"OK number 1 came at Nov 23 12:00:00.000000, when only 0 tokens were dead where they were to be",
		},
		"not everywhere": {
			map[string]death{"a": {"us": at(1), "eu": at(201)}, "b": {"us": at(2), "eu": nil}},
			[]*time.Time{at(300), at(300)},
			"2 calls were OK, but only 1 tokens are dead where they were to be",
		},
		"accepted alone": {
			map[string]death{"a": {"us": nil, "eu": nil}, "b": {"us": at(2), "eu": at(3)}},
			[]*time.Time{at(300), at(300)},
			"2 calls were OK, but only 1 tokens are dead where they were to be",
		},
		"never asked for": {
			map[string]death{"b": {"us": at(2), "eu": at(3)}, "somebody else's": {"us": at(1), "eu": at(1)}},
			[]*time.Time{at(300), at(300)},
			"2 calls were OK, but only 1 tokens are dead where they were to be",
		},
		"failed, and alive": {map[string]death{}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			details := []any{map[string]any{"status": "Unavailable", "timestamp": begun}}
			for _, answer := range test.answers {
				details = append(details, map[string]any{"status": "OK", "timestamp": answer})
			}
			if got := errorText(p.checkTruth(read(t, map[string]any{"details": details}), tokens, test.deaths)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
