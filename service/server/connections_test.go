package server

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// crowd is a listener to which clients always connect.
type crowd struct{ closed chan struct{} }

func (c crowd) Accept() (net.Conn, error) {
	select {
	case <-c.closed:
		return nil, net.ErrClosed
	default:
		return new(net.TCPConn), nil
	}
}

func (c crowd) Close() error {
	close(c.closed)
	return nil
}

func (crowd) Addr() net.Addr { return new(net.TCPAddr) }

type accepted struct {
	conn net.Conn
	err  error
}

// accept returns nil while Accept waits. Call it within a synctest bubble.
func accept(l net.Listener) (done func() *accepted) {
	var result atomic.Pointer[accepted]
	go func() {
		conn, err := l.Accept()
		result.Store(&accepted{conn, err})
	}()
	return func() *accepted {
		synctest.Wait()
		return result.Load()
	}
}

func TestConnectionsBeyondTheNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limitConnections(crowd{make(chan struct{})}, 2)
		first, second, third := accept(l)(), accept(l)(), accept(l)
		if first == nil || second == nil {
			t.Fatal("not even two are accepted")
		}
		if third() != nil {
			t.Error("the third is accepted while two are open")
		}
		_ = first.conn.Close()
		_ = first.conn.Close() // frees no second place
		fourth := accept(l)
		if third() == nil {
			t.Error("the third is not accepted when one has closed")
		}
		if fourth() != nil {
			t.Error("so is the fourth")
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if a := fourth(); a == nil || !errors.Is(a.err, net.ErrClosed) {
			t.Errorf("the fourth when the listener closes: %v", a)
		}
		_ = second.conn.Close()
		if a := accept(l)(); a == nil || !errors.Is(a.err, net.ErrClosed) {
			t.Errorf("a fifth then: %v", a)
		}
	})
}

// An answer can be ended while the client still sends.
func TestConnectionsEndAnswers(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = limitConnections(l, 1)
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
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("it cannot close its own side")
	}
	if _, err := io.WriteString(conn, "no"); err != nil {
		t.Fatal(err)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "no" {
		t.Errorf("%q, %v", got, err)
	}
}
