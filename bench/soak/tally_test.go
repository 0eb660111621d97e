package main

import (
	"strings"
	"testing"
)

// A run whose load misses something is no proof of anything.
func TestNeverMet(t *testing.T) {
	t.Parallel()
	var counts tally
	for _, reason := range append([]string{reasonTokenRejected, reasonTooShort, reasonInvalidRequest}, always[1:]...) {
		counts.answered(answer{door: overNative, reason: reason, state: stateUnknown}, "")
	}
	for _, a := range []answer{{door: overGRPC, outcome: outcomeRevoked}, {door: overDropIn, outcome: "204"}} {
		counts.answered(a, "")
	}
	if got, want := strings.Join(counts.neverMet(), "; "), always[0]+"; with success over native"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
