package slashid

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
)

// The cause of a connection that cannot be made in time names the address or the host.
func TestCauseNamesTheAddress(t *testing.T) {
	t.Parallel()
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	for want, err := range map[string]error{
		"dial tcp 192.0.2.1:443: i/o timeout": &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: os.ErrDeadlineExceeded},
		"lookup api.example on 192.0.2.53:53: i/o timeout": &net.DNSError{
			Err: "i/o timeout", UnwrapErr: context.DeadlineExceeded, Name: "api.example", Server: "192.0.2.53:53", IsTimeout: true,
		},
		"context deadline exceeded": context.DeadlineExceeded,
	} {
		if got := publicCause(fmt.Errorf("round trip: %w", err)).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
