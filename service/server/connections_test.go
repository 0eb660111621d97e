package server

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// crowd is a listener with an endless supply of clients.
type crowd struct{ net.Listener }

func (crowd) Accept() (net.Conn, error) { return new(net.TCPConn), nil }

func (crowd) Close() error { return nil }

// Connections over the limit wait. One is accepted when another is closed.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limitConnections(crowd{}, 2)
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
	})
}

// The server can close its side of a connection while the client still sends.
func TestConnectionsCloseWrite(t *testing.T) {
	t.Parallel()
	inner, err := Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConnections(inner, 1)
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
