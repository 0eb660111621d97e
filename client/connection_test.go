package client

import (
	"testing"

	"github.com/quashdev/quash/service/server"
)

// A quash disconnects clients that ping more often than it allows.
func TestPingsAreRareEnough(t *testing.T) {
	t.Parallel()
	if least := server.DefaultLimits.PingInterval; pingAfter < 2*least {
		t.Errorf("pings after %v, want at least twice the %v that quash wants", pingAfter, least)
	}
}

// What is refused here unsent would be refused there, too.
func TestNoValidRequestIsTooLarge(t *testing.T) {
	t.Parallel()
	if maxRequestBytes < server.DefaultLimits.RequestBytes {
		t.Errorf("at most %d bytes, and quash takes %d", maxRequestBytes, server.DefaultLimits.RequestBytes)
	}
}
