//go:build unix

package slashid

import (
	"crypto/tls"
	"net"
	"syscall"
)

// isSilent reports whether nothing has come on a connection, not even its end.
func isSilent(conn net.Conn) bool {
	for secure, ok := conn.(*tls.Conn); ok; secure, ok = conn.(*tls.Conn) { // to a proxy, too
		if !nothingToRead(secure) { // what it has taken off the socket already
			return false
		}
		conn = secure.NetConn()
	}
	if counted, ok := conn.(*countedConn); ok {
		conn = counted.Conn
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nothingToRead(conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // do not wait
	})
	return err == nil && silent
}
