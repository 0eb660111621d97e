package slashid

import (
	"errors"
	"net"
	"os"
	"time"
)

// nothingToRead asks a connection for what it holds itself: a past deadline keeps it from
// asking anybody else.
func nothingToRead(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Unix(1, 0))
	var b [1]byte
	_, err := conn.Read(b[:])
	_ = conn.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}
