package measure

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is the resource usage of a process and its children.
type Usage struct {
	CPU            time.Duration // user and system time so far
	Resident, Peak int64         // bytes: current, and maximum so far
	Descriptors    int           // open files and sockets
}

// Process measures a process and its children, because nginx works in child processes.
func Process(pid int) (sum Usage, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return sum, err
	}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PID != pid && stat.PPID != pid {
			continue // a process that cannot be read has exited
		}
		status, err := p.NewStatus()
		if err != nil {
			continue
		}
		descriptors, _ := p.FileDescriptorsLen() // fails for nginx's workers, which run as another user
		sum.CPU += time.Duration(stat.CPUTime() * float64(time.Second))
		sum.Resident += int64(status.VmRSS) //nolint:gosec // sizes fit
		sum.Peak += int64(status.VmHWM)     //nolint:gosec // sizes fit
		sum.Descriptors += descriptors
	}
	if sum.Peak == 0 {
		return sum, fmt.Errorf("process %d has exited", pid)
	}
	return sum, nil
}
