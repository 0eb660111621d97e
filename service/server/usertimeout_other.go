//go:build !linux

package server

import "syscall"

// setUserTimeout does nothing where there is no such option. Such connections stay
// until they are too old.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
