//go:build !race

// The race detector allocates too.

package server_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/quashdev/quash/service/server"
)

// allocationsFile has how often a call of BenchmarkRevoke allocates, by its endpoint.
const allocationsFile = "testdata/allocations.json"

// Allocations cost time when they are collected. Unlike time they can be counted:
// a call may not allocate more than five in a hundred above what is on record.
//
// It is not parallel: what other tests allocate in the meantime would be counted too.
func TestAllocations(t *testing.T) {
	const warmUp, calls = 100, 1000
	counted := map[string]int{}
	for name, connect := range bareCalls(startProduction(t)) {
		call := connect(t)
		must := func() {
			if err := call(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for range warmUp {
			must()
		}
		counted[name] = int(testing.AllocsPerRun(calls, must))
	}
	if *server.Update {
		record, err := json.MarshalIndent(counted, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(allocationsFile, append(record, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(allocationsFile)
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]int
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for name, n := range counted {
		t.Logf("%s: %d allocations a call, %d on record", name, n, recorded[name])
		if n*100 > recorded[name]*105 {
			t.Errorf("%s: a call allocates %d times, and %d times by %s; where that is worth it, "+
				"go test ./service/server -run '^TestAllocations$' -update records it", name, n, recorded[name], allocationsFile)
		}
	}
}
