package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quashdev/quash/internal/bulk/journal"
)

// childEnv makes the test's own program a run that goes on until it is killed or fails:
// "scene path".
const childEnv = "JOURNAL_TEST_CHILD"

// beChild never returns in a child.
func beChild() {
	scene, path, is := strings.Cut(os.Getenv(childEnv), " ")
	if !is {
		return
	}
	if err := scenes[scene](path); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

var scenes = map[string]func(path string) error{
	"run": func(path string) error { return run(path, os.Stdout) },
}

// run revokes tokens without end, and tells of each step once it was taken.
func run(path string, out *os.File) error {
	j, err := journal.Open(path)
	if err != nil {
		return err
	}
	for line := int64(1); ; line++ {
		standing, err := j.Begin(line, tokenOf(line))
		if err != nil {
			return err
		}
		if standing.Done {
			continue
		}
		if err := j.Sending(line); err != nil {
			return err
		}
		fmt.Fprintln(out, "sent", line)
		if line%3 == 0 {
			continue // no answer
		}
		if err := j.Record(line, revoked); err != nil {
			return err
		}
		fmt.Fprintln(out, "revoked", line)
	}
}

func tokenOf(line int64) string { return fmt.Sprint("token-", line) }

// child returns the command that plays a scene.
func child(ctx context.Context, scene, path string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+scene+" "+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// A run that is killed has lost nothing of what it did, and no line is taken for sent
// that was not, but for the one that was under way.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.journal")
	verdicts := map[int64]journal.Verdict{}
	for round := range 3 {
		killAfter(t, path, 50+37*round, verdicts)
		j := open(t, path)
		extra := 0
		for line, r := range results(t, j) {
			switch told := verdicts[line]; {
			case told == r.Verdict:
			case told == journal.Revoked:
				t.Errorf("round %d: line %d was revoked, and is %+v", round, line, r)
			case told == journal.Unknown && line%3 == 0:
				t.Errorf("round %d: line %d was sent without an answer, and is %+v", round, line, r)
			default: // the run had gone on before it was killed
				verdicts[line] = r.Verdict
				extra++
			}
		}
		for line := range verdicts {
			if line > j.Last() {
				t.Errorf("round %d: line %d is missing", round, line)
			}
		}
		if extra > 1 {
			t.Errorf("round %d: %d lines are other than told", round, extra)
		}
		closed(t, j)
	}
}

// killAfter kills a run once it has told of so many steps, and notes all that it told.
func killAfter(t *testing.T, path string, steps int, verdicts map[int64]journal.Verdict) {
	t.Helper()
	cmd := child(t.Context(), "run", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(out)
	for step := 0; told.Scan(); step++ {
		var what string
		var line int64
		if _, err := fmt.Sscan(told.Text(), &what, &line); err != nil {
			t.Fatalf("the run says %q", told.Text())
		}
		verdicts[line] = map[string]journal.Verdict{"sent": journal.Unknown, "revoked": journal.Revoked}[what]
		if step == steps {
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the run ended by itself")
	}
}
