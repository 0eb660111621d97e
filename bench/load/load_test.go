package load

import (
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// A report of ghz v0.121.0 about four successful calls passes. Changes to the fields that matter
// make it fail.
func TestCheck(t *testing.T) {
	t.Parallel()
	recorded, err := os.ReadFile("testdata/ok.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		edit func(r *report)
		ok   bool
	}{
		"passed":           {func(*report) {}, true},
		"too few calls":    {func(r *report) { r.Count = 3 }, false},
		"empty":            {func(r *report) { *r = report{} }, false},
		"a call failed":    {func(r *report) { r.Statuses = map[string]int{"OK": 3, "Unavailable": 1} }, false},
		"one too many":     {func(r *report) { r.Statuses = map[string]int{"OK": 4, "Unavailable": 1} }, false},
		"all calls failed": {func(r *report) { r.Statuses = map[string]int{"Unavailable": 4} }, false},
		"no statuses":      {func(r *report) { r.Statuses = nil }, false},
		"interrupted":      {func(r *report) { r.EndReason = "cancel" }, false},
	} {
		r, err := readReport(recorded)
		if err != nil {
			t.Fatal(err)
		}
		tt.edit(r)
		if err := r.check(4); (err == nil) != tt.ok {
			t.Errorf("%s: got %v", name, err)
		}
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

func TestEncode(t *testing.T) {
	t.Parallel()
	text, err := encode([]string{"a", "b"}, allRegions)
	if err != nil {
		t.Fatal(err)
	}
	in := strings.NewReader(string(text))
	for _, token := range []string{"a", "b"} {
		req := new(quashv1.RevokeRequest)
		if err := protodelim.UnmarshalFrom(in, req); err != nil {
			t.Fatal(err)
		}
		if req.GetToken() != token || req.GetConsistency() != quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
			t.Errorf("the request for %s has another token or consistency", token)
		}
	}
}
