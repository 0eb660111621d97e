package bulk

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks the file for this process until it is closed. It locks a byte far after the end of
// the file, because other processes cannot read a locked byte.
func lock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: math.MaxInt32})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errInUse
	}
	return err
}
