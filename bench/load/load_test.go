package load

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// A report of ghz v0.121.0, of four calls that were OK, passes. With anything else in it,
// it fails, and the error says by what.
func TestCheck(t *testing.T) {
	t.Parallel()
	p, err := newPlan(4, 2, "local_region")
	if err != nil {
		t.Fatal(err)
	}
	options := func(name string, value any) func(map[string]any) {
		return func(r map[string]any) { r["options"].(map[string]any)[name] = value }
	}
	statuses := func(value map[string]any) func(map[string]any) {
		return func(r map[string]any) { r["statusCodeDistribution"] = value }
	}
	for name, tt := range map[string]struct {
		edit func(report map[string]any)
		want string // part of the error; empty for a run that passes
	}{
		"passed":            {func(map[string]any) {}, ""},
		"too few calls":     {func(r map[string]any) { r["count"] = 3 }, "count 4"},
		"empty":             {func(r map[string]any) { clear(r) }, "endReason normal"},
		"a call failed":     {statuses(map[string]any{"OK": 3, "Unavailable": 1}), "3 calls were OK, not 4"},
		"one too many":      {statuses(map[string]any{"OK": 4, "Unavailable": 1}), "4 calls were OK, not 4"},
		"all calls failed":  {statuses(map[string]any{"Unavailable": 4}), "0 calls were OK, not 4"},
		"no statuses":       {statuses(nil), "0 calls were OK, not 4"},
		"another time-out":  {options("timeout", 20*time.Second), "timeout 2m10s"},
		"another call":      {options("call", "grpc.health.v1.Health/Check"), "call quash.v1.TokenService/Revoke"},
		"fewer connections": {options("connections", 1), "connections 2"},
		"less concurrency":  {options("concurrency", 1), "concurrency 2"},
		"data as JSON":      {options("binary", false), "binary true"},
		"interrupted":       {func(r map[string]any) { r["endReason"] = "cancel" }, "endReason normal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorded, err := os.ReadFile("testdata/ok.json")
			if err != nil {
				t.Fatal(err)
			}
			var edited map[string]any
			if err := json.Unmarshal(recorded, &edited); err != nil {
				t.Fatal(err)
			}
			tt.edit(edited)
			text, err := json.Marshal(edited)
			if err != nil {
				t.Fatal(err)
			}
			r, err := readReport(text)
			if err != nil {
				t.Fatal(err)
			}
			err = p.check(r)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadReport(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Summary:\n  Count:\t4\n", "[]", `{"count":"4"}`, `{"count":4`} {
		if _, err := readReport([]byte(text)); !errors.Is(err, errNoReport) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	none, local, all := map[string]bool{"us": false, "eu": false}, map[string]bool{"us": true, "eu": false}, map[string]bool{"us": true, "eu": true}
	for name, tt := range map[string]struct {
		regions    map[string]bool
		everywhere bool
		want       bool
	}{
		"locally":         {local, false, true},
		"everywhere":      {all, true, true},
		"not everywhere":  {local, true, false},
		"nowhere":         {none, false, false},
		"in no region":    {nil, true, false},
		"more than asked": {all, false, true},
	} {
		if got := dead(tt.regions, tt.everywhere); got != tt.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
