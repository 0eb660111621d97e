//go:build !unix

package slashid

import "net"

// isSilent reports whether nothing has come on a connection, as far as can be seen here.
func isSilent(conn net.Conn) bool { return nothingToRead(conn) }
