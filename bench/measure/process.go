package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what a process and its children use.
type Usage struct {
	CPU            time.Duration // user and system time so far
	Resident, Peak int64         // bytes, now and at most so far
	Descriptors    int           // open files and sockets
}

// Process measures a process and its children: nginx works in children.
func Process(pid int) (sum Usage, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return sum, err
	}
	found := false
	for _, p := range all {
		stat, err := p.Stat()
		if ended(err) {
			continue
		}
		if err != nil {
			return sum, err
		}
		if stat.PID != pid && stat.PPID != pid {
			continue
		}
		status, err := p.NewStatus()
		if ended(err) {
			continue
		}
		if err != nil {
			return sum, err
		}
		descriptors, err := p.FileDescriptorsLen()
		if err != nil && !errors.Is(err, fs.ErrPermission) { // nginx' workers have another user
			return sum, err
		}
		found = found || stat.PID == pid
		sum.CPU += time.Duration(stat.CPUTime() * float64(time.Second))
		sum.Resident += int64(status.VmRSS) //nolint:gosec // sizes fit
		sum.Peak += int64(status.VmHWM)     //nolint:gosec // sizes fit
		sum.Descriptors += descriptors
	}
	if !found {
		return sum, fmt.Errorf("process %d has ended", pid)
	}
	return sum, nil
}

// ended reports whether a process was gone when it was looked at.
func ended(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }
