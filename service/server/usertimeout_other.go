//go:build !linux

package server

import "syscall"

// setUserTimeout does nothing on systems without TCP_USER_TIMEOUT. Connections to a dead peer
// stay open until they reach their maximum age.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
