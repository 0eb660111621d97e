package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// The descriptor is what os/exec asks for, and must not block even then.
func TestDuplicateDoesNotBlock(t *testing.T) {
	t.Parallel()
	l, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	inherited, err := duplicate(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer inherited.Close()
	flags, err := unix.FcntlInt(inherited.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("its flags are %#x, %v: it blocks", flags, err)
	}
}
