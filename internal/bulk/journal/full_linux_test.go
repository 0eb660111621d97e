package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quashdev/quash/internal/bulk/journal"
)

func init() { scenes["full"] = full } //nolint:gochecknoinits // other systems do not have it

// full runs on a disk of its own until that is full, then sees to it that nothing was
// lost, makes room and goes on.
func full(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("skip: %w", err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 400<<10), 0o600); err != nil {
		return err
	}
	path := filepath.Join(dir, "tokens.journal")
	last, err := revokeUntilError(path)
	if !strings.Contains(err.Error(), "no space left on device: nothing is lost, and when that is put right, the same command goes on") {
		return err
	}
	fmt.Println("full after", last)
	if err := os.Remove(ballast); err != nil {
		return err
	}
	j, err := journal.Open(path)
	if err != nil {
		return err
	}
	defer j.Close()
	for line := int64(1); line <= last+100; line++ {
		standing, err := j.Begin(line, tokenOf(line))
		if err != nil {
			return err
		}
		if standing.Done != (line <= last) || standing.Duplicate != 0 {
			return fmt.Errorf("line %d has the standing %+v", line, standing)
		}
	}
	return nil
}

// revokeUntilError returns the last line that was revoked. There is always one more that is
// under way when the next cannot be begun, and that can be recorded.
func revokeUntilError(path string) (last int64, err error) {
	j, err := journal.Open(path)
	if err != nil {
		return 0, err
	}
	for line := int64(1); err == nil; line++ {
		if _, err = j.Begin(line, tokenOf(line)); err != nil {
			break
		}
		if err := j.Sending(line); err != nil {
			return 0, err
		}
		if line > 1 {
			err = j.Record(line-1, revoked)
		}
		last = line
	}
	if err := j.Record(last, revoked); err != nil {
		return 0, err
	}
	if err := j.Close(); err != nil {
		return 0, err
	}
	return last, err
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	cmd := child(t.Context(), "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // so that no other process sees the disk
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Skip("no disk of its own: ", err)
	}
	err := cmd.Wait()
	if strings.Contains(out.String(), "skip:") {
		t.Skip(out.String())
	}
	if err != nil || !strings.Contains(out.String(), "full after") {
		t.Error(err, out.String())
	}
}
