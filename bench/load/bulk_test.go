package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quashdev/quash/sandbox"
)

func rounds(shares ...float64) []bulkRound {
	all := make([]bulkRound, len(shares))
	for i, share := range shares {
		all[i] = bulkRound{ghz: 1000, revoke: bulkRun{tokens: int(1000 * share), took: time.Second, peak: 45e6}}
	}
	return all
}

// The verdict is on the median of the rounds, as the report has it.
func TestBulkReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shares []float64
		want   string
		failed bool
	}{
		{shares: []float64{0.5, 0.9, 1.5}, want: "quash revoke / ghz: 0.90, in the rounds 0.50 to 1.50; the bar is 0.8: met"},
		{shares: []float64{0.9, 0.7, 0.1}, want: "quash revoke / ghz: 0.70, in the rounds 0.10 to 0.90; the bar is 0.8: **missed**", failed: true},
		{shares: []float64{0.7, 0.9}, want: "quash revoke / ghz: 0.70, in the rounds 0.70 to 0.90; the bar is 0.8: **missed**", failed: true},
	} {
		report := &bulkReport{rounds: rounds(test.shares...), short: bulkRun{tokens: 10, took: time.Second, peak: 43e6}}
		var out strings.Builder
		if err := report.write(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{test.want, "| ghz | 1000 | 1000 to 1000 |  |", "| quash revoke, 10 tokens | 10 | | 43 |"} {
			if !strings.Contains(out.String(), want+"\n") {
				t.Errorf("%v: no %q in\n%s", test.shares, want, &out)
			}
		}
		if err := report.check(); (err != nil) != test.failed {
			t.Errorf("%v: %v", test.shares, err)
		}
	}
}

// What a command says is in the error, and its memory is looked at while it runs.
func TestTimed(t *testing.T) {
	t.Parallel()
	if _, _, err := timed(exec.CommandContext(t.Context(), "sh", "-c", "echo what is wrong; exit 3")); errorText(err) != "exit status 3\nwhat is wrong\n" {
		t.Errorf("got %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := highest(cmd.Process.Pid); got <= 0 {
		t.Errorf("cat has %d bytes", got)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := highest(cmd.Process.Pid); got != 0 {
		t.Errorf("and %d when it has ended", got)
	}
}

// That quash revoke succeeds is not believed, and of the list nothing stays.
func TestRevokeListLies(t *testing.T) {
	t.Parallel()
	liar, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	s, tmp := sandbox.Start(t, sandbox.Config{}), t.TempDir()
	_, err = revokeList(t.Context(), liar, "127.0.0.1:1", sandboxURL(s.URL), tmp, recordedPlan(t, "local_region"))
	if got, want := errorText(err), "quash revoke says that all tokens are dead, and 4 are not"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
