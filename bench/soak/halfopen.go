package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// halfOpenLimit is within when quash closes a connection whose request does not
	// arrive; it gives one 10 s.
	halfOpenLimit = 20 * time.Second
	// halfOpenTakes is about how long that takes. None begins so late that the load would
	// have to wait for it.
	halfOpenTakes = 11 * time.Second
	// halfOpenEach is how many of each there are at a time.
	halfOpenEach = 6
)

// The beginnings of requests of which no more comes.
var (
	halvesREST = []string{
		"",
		"POST " + nativePath + " HTTP/1.1\r\nHost: quash\r\nContent-Ty",
		"POST " + nativePath + " HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"token\":",
		"POST " + dropInPath + " HTTP/1.1\r\nHost: quash\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"tok",
	}
	halvesGRPC = []string{"", "PRI * HTTP/2.0\r\n\r\nSM"}
)

// holdHalfOpen keeps connections half open as long as there is time. Those over REST stay
// until quash closes them; those over gRPC are broken off.
func (l *load) holdHalfOpen(ctx context.Context, end time.Time) {
	for ctx.Err() == nil && time.Until(end) > halfOpenTakes {
		var held sync.WaitGroup
		hold := func(addr, half string, lasts time.Duration) {
			held.Go(func() {
				if err := holdOpen(ctx, addr, half, lasts); err != nil && ctx.Err() == nil {
					l.tally.complain("half-open connection: " + err.Error())
				}
			})
		}
		for range halfOpenEach {
			for _, half := range halvesREST {
				hold(l.addrs.HTTP, half, 0)
			}
			for _, half := range halvesGRPC {
				hold(l.addrs.GRPC, half, 1+within(2*time.Second))
			}
		}
		held.Wait()
	}
}

// holdOpen opens a connection, and breaks it off after a while; a while of 0 waits until
// quash closes it.
func holdOpen(ctx context.Context, addr, half string, lasts time.Duration) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, half); err != nil {
		return err
	}
	if lasts > 0 {
		pause(ctx, lasts)
		if tcp, ok := conn.(*net.TCPConn); ok && oneIn(2) {
			_ = tcp.SetLinger(0) // RST instead of FIN
		}
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(halfOpenLimit))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("quash did not close it within %s", halfOpenLimit)
	}
	return nil // closed, by FIN or by RST
}
