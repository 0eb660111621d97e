package main

import (
	"os"
	"testing"
)

// theOutcomes are those that callers are told of.
func theOutcomes(t *testing.T) []outcome {
	t.Helper()
	doc, err := os.ReadFile("../../" + outcomesDoc)
	if err != nil {
		t.Fatal(err)
	}
	table, err := readOutcomes(string(doc))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestReadOutcomes(t *testing.T) {
	t.Parallel()
	table := theOutcomes(t)
	if len(table) < 15 {
		t.Errorf("only %d rows are understood", len(table))
	}
	want := outcome{"DeadlineExceeded", "CONSISTENCY_TIMEOUT", "IN_PROGRESS", 504, 408}
	found := false
	for _, row := range table {
		found = found || row == want
	}
	if !found {
		t.Errorf("%+v is not among %+v", want, table)
	}
	if _, err := readOutcomes("# Outcomes\n\n| state | is the token dead? |\n"); err == nil {
		t.Error("a document without the table is accepted")
	}
}

func TestEveryReasonThatMayBeIsInTheTable(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, row := range theOutcomes(t) {
		known[row.reason] = true
	}
	for _, reason := range append([]string{
		reasonInvalidRequest, reasonTokenRejected, reasonTooShort, reasonCallerCancelled,
	}, always...) {
		if !known[reason] {
			t.Errorf("%s is not in the table", reason)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	table := theOutcomes(t)
	for _, tc := range []struct {
		name string
		a    answer
		want bool
	}{
		{"gRPC", answer{door: overGRPC, code: "DeadlineExceeded", reason: "CONSISTENCY_TIMEOUT", state: "IN_PROGRESS"}, true},
		{"native", answer{door: overNative, status: 504, code: "DeadlineExceeded", reason: "CONSISTENCY_TIMEOUT", state: "IN_PROGRESS"}, true},
		{"drop-in", answer{door: overDropIn, status: 408, reason: "CONSISTENCY_TIMEOUT", state: "IN_PROGRESS"}, true},
		{"another row's status", answer{door: overDropIn, status: 503, reason: "CONSISTENCY_TIMEOUT", state: "IN_PROGRESS"}, false},
		{"another row's state", answer{door: overDropIn, status: 408, reason: "CONSISTENCY_TIMEOUT", state: "UNKNOWN"}, false},
		{"not applied, after an attempt that may have been", answer{door: overGRPC, code: "ResourceExhausted", reason: "UPSTREAM_RATE_LIMITED", state: "UNKNOWN"}, true},
		{"unknown, but nothing was sent", answer{door: overGRPC, code: "DeadlineExceeded", reason: "UPSTREAM_TIMEOUT", state: "NOT_APPLIED"}, true},
		{"in progress out of nothing", answer{door: overGRPC, code: "Unavailable", reason: "UPSTREAM_UNAVAILABLE", state: "IN_PROGRESS"}, false},
		{"another code", answer{door: overGRPC, code: "Internal", reason: "UPSTREAM_RATE_LIMITED", state: "NOT_APPLIED"}, false},
		{"another code in JSON", answer{door: overNative, status: 429, code: "Internal", reason: "UPSTREAM_RATE_LIMITED", state: "NOT_APPLIED"}, false},
		{"another status", answer{door: overNative, status: 500, code: "ResourceExhausted", reason: "UPSTREAM_RATE_LIMITED", state: "NOT_APPLIED"}, false},
		{"no such reason", answer{door: overGRPC, code: "Unavailable", reason: "TEAPOT", state: "NOT_APPLIED"}, false},
		{"no state", answer{door: overGRPC, code: "Unavailable", reason: "UPSTREAM_UNAVAILABLE"}, false},
		{"no details", answer{door: overGRPC, code: "Unavailable"}, false},
	} {
		if got := allows(table, tc.a); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}
