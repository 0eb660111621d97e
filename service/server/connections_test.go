package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
)

// crowd is a listener with an endless supply of clients.
type crowd struct{ net.Listener }

func (crowd) Accept() (net.Conn, error) { return new(net.TCPConn), nil }

func (crowd) Close() error { return nil }

func (crowd) Addr() net.Addr { return &net.TCPAddr{Port: 9090} }

// Connections over the limit wait. One is accepted when another is closed.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := limitConnections(crowd{}, 2, slog.New(slog.NewTextHandler(&log, nil)))
		accepted, failed := make(chan net.Conn, 5), make(chan error, 5)
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := len(accepted); got != want || l.open.Load() != 2 {
				t.Errorf("%d connections are accepted, want %d; %d are open", got, want, l.open.Load())
			}
		}
		for range cap(accepted) {
			go func() {
				conn, err := l.Accept()
				if err != nil {
					failed <- err
					return
				}
				accepted <- conn
			}()
		}
		expect(2)
		first := <-accepted
		_ = first.Close()
		_ = first.Close() // a second Close must not free another place
		expect(2)
		_ = l.Close()
		for range 2 {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("after the listener is closed: %v", err)
			}
		}
		if got := strings.Count(log.String(), `level=WARN msg="connection limit reached, new connections wait" listener=:9090 limit=2`); got != 1 {
			t.Errorf("%d lines of 1 in the log:\n%s", got, &log)
		}
	})
}

// exhausted is a listener of a process without free file descriptors.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) { return nil, syscall.EMFILE }

func (exhausted) Addr() net.Addr { return &net.TCPAddr{Port: 9090} }

// A failed accept is logged, and does not use up a place.
func TestAcceptFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := limitConnections(exhausted{}, 1, slog.New(slog.NewTextHandler(&log, nil)))
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Fatal(err)
		}
	}
	if got := strings.Count(log.String(), `level=WARN msg="accept failed" listener=:9090 err="too many open files"`); got != 2 {
		t.Errorf("%d lines of 2 in the log:\n%s", got, &log)
	}
}

// The server can close its side of a connection while the client still sends.
func TestConnectionsCloseWrite(t *testing.T) {
	t.Parallel()
	inner, err := Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConnections(inner, 1, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = l.Close() })
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}
