package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test's binary is the children too, as the harness is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childMark {
		if err := begin(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(quashFolder)
		os.Exit(code)
	}))
}

func TestParseOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"-rounds", "3", "-seconds", "0.5", "-only", "flight", "-baseline", "before"})
	if err != nil {
		t.Fatal(err)
	}
	if o.pace != (pace{3, 500 * time.Millisecond}) || o.only != "flight" || len(o.builds) != 2 || o.builds[1] != (build{baselineName, "before"}) {
		t.Errorf("got %+v", o)
	}
	if got := o.pace.brief(); got.rounds != 2 {
		t.Errorf("what takes long has %d of 3 rounds, want 2", got.rounds)
	}
	for _, args := range [][]string{
		{"-rounds", "0"},
		{"-seconds", "0"},
		{"-only", "everything"},
		{"small"},
		{"-update", "-only", "small"},
		{"-update", "-baseline", "before"},
	} {
		if o, err := parseOptions(args); err == nil {
			t.Errorf("%q is taken for %+v", args, o)
		}
	}
}
