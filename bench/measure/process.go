package measure

import (
	"fmt"
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
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PID != pid && stat.PPID != pid {
			continue // one that cannot be read has just ended
		}
		status, err := p.NewStatus()
		if err != nil {
			continue
		}
		descriptors, _ := p.FileDescriptorsLen() // those of nginx' workers, which have another user, are not counted
		sum.CPU += time.Duration(stat.CPUTime() * float64(time.Second))
		sum.Resident += int64(status.VmRSS) //nolint:gosec // sizes fit
		sum.Peak += int64(status.VmHWM)     //nolint:gosec // sizes fit
		sum.Descriptors += descriptors
	}
	if sum.Peak == 0 {
		return sum, fmt.Errorf("process %d has ended", pid)
	}
	return sum, nil
}
