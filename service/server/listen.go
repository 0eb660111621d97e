package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen binds a TCP address. flag is the name of the flag that holds the address, for the
// error text.
func Listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	// Accepted connections inherit the socket option.
	cfg := net.ListenConfig{Control: setUserTimeout}
	l, err := cfg.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s is already in use: stop the process that listens there, or choose another address (port 0 picks a free port)", flag, addr)
	default:
		// The outer error repeats the address.
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return nil, fmt.Errorf("%s %s: cannot listen: %w", flag, addr, err)
	}
}
