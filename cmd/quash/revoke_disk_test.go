package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// onADisk runs shell commands in a directory with a file "list", and with a file system of 4 MiB
// mounted at "disk" that no other process sees. It returns their output.
func onADisk(t *testing.T, list, commands string) string {
	t.Helper()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, "list"), list)
	must(t, os.Mkdir(filepath.Join(dir, "disk"), 0o700))
	flags := "-m"
	if os.Getuid() != 0 {
		flags = "-rm"
	}
	sh := func(commands string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "unshare", flags, "sh", "-c", "mount -t tmpfs -o size=4m tmpfs disk && "+commands)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if out, err := sh("true"); err != nil {
		t.Skipf("no disk of its own: %v, %s", err, out)
	}
	out, err := sh("{ " + commands + "; }")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A full disk ends a run, and the same command resumes it.
func TestRevokeListOnAFullDisk(t *testing.T) {
	t.Parallel()
	const lines = 2000
	var list strings.Builder
	for n := range lines {
		fmt.Fprintln(&list, leaked(n))
	}
	var quash revoking
	revoke := "quash revoke --addr " + startAnswering(t, quash.revoke) + " --file list --journal disk/journal --report disk/report; echo exit code $?"
	out := onADisk(t, list.String(), "head -c 4100000 /dev/zero >disk/ballast; "+revoke+"; rm disk/ballast; "+revoke+"; head -2 disk/report")
	first, second, _ := strings.Cut(out, "exit code 7\n")
	if !strings.Contains(first, "quash: the journal disk/journal cannot be written: ") ||
		!strings.Contains(first, "no space left on device: nothing is lost; fix the cause, and run the same command again to continue") {
		t.Errorf("the first run wrote\n%s", first)
	}
	if !strings.Contains(second, "quash: resuming from the journal disk/journal") || !strings.Contains(second, "All tokens are dead.\nexit code 0\n{\n  \"complete\": true") {
		t.Errorf("the second run wrote\n%s", second)
	}
	// The tokens in flight whose answers could not be recorded are sent again.
	if n := len(quash.tokens()); n < lines || n > lines+64 {
		t.Errorf("there were %d calls for %d tokens", n, lines)
	}
}

// A list may be on a read-only file system.
func TestRevokeListOnADiskThatIsReadOnly(t *testing.T) {
	t.Parallel()
	addr := startAnswering(t, new(revoking).revoke)
	revoke := "quash revoke --addr " + addr + " --file disk/list"
	out := onADisk(t, leaked(1), "cp list disk/list; mount -o remount,ro disk; "+revoke+"; "+revoke+" --journal journal --report disk/report; "+revoke+" --journal journal")
	want := "quash: the journal cannot be opened: open disk/list.journal: read-only file system; set --journal to write it elsewhere\n" +
		"quash: --report: open disk/.quash-report-"
	rest, ok := strings.CutPrefix(out, want)
	if !ok || !strings.Contains(rest, ": read-only file system\n1 line of disk/list, through "+addr) || !strings.HasSuffix(rest, "All tokens are dead.\n") {
		t.Errorf("it wrote\n%s", out)
	}
}
