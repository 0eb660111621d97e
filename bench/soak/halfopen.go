package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	// halfOpenLimit is within when quash ends a connection whose request does not
	// arrive; it gives one 10 s.
	halfOpenLimit = 20 * time.Second
	// halfOpenTakes is about how long that takes. None is begun so late that the
	// load would have to wait for it.
	halfOpenTakes = 11 * time.Second
	// halfOpenEach is how many there are of each kind at a time.
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

// holdHalfOpen keeps connections half open, as long as there is time for them. Those
// over REST stay until quash ends them, those over gRPC break off by themselves.
func (l *load) holdHalfOpen(ctx context.Context, end time.Time) {
	for ctx.Err() == nil && time.Until(end) > halfOpenTakes {
		var held sync.WaitGroup
		for range halfOpenEach {
			for _, half := range halvesREST {
				held.Go(func() {
					l.tally.happened("REST connections left half open", l.awaitEnd(ctx, half))
				})
			}
			for _, half := range halvesGRPC {
				held.Go(func() {
					l.tally.happened("gRPC connections left half open", l.abandon(ctx, half))
				})
			}
		}
		held.Wait()
	}
}

// begin opens a connection and sends the half.
func (l *load) begin(ctx context.Context, addr, half string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, half); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// awaitEnd returns what is wrong with how quash ends the connection.
func (l *load) awaitEnd(ctx context.Context, half string) string {
	conn, err := l.begin(ctx, strings.TrimPrefix(l.quash.rest, "http://"), half)
	if err != nil {
		return "half-open connection over REST: " + err.Error()
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(halfOpenLimit))
	_, err = io.Copy(io.Discard, conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "half-open connection over REST: not ended within " + halfOpenLimit.String()
	}
	return "" // by FIN or by RST
}

// abandon leaves a connection as it is for a while, and then breaks it off.
func (l *load) abandon(ctx context.Context, half string) string {
	conn, err := l.begin(ctx, l.quash.grpc, half)
	if err != nil {
		return "half-open connection over gRPC: " + err.Error()
	}
	defer func() { _ = conn.Close() }()
	pause(ctx, within(2*time.Second))
	if tcp, ok := conn.(*net.TCPConn); ok && oneIn(2) {
		_ = tcp.SetLinger(0) // RST instead of FIN
	}
	return ""
}
