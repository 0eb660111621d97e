package server

import (
	"io"
	"net"
	"testing"
)

// Beyond the number of connections others wait, and are served when one is closed. An
// answer can be ended while the client still sends.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	inner, err := Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConnections(inner, 1)
	t.Cleanup(func() { _ = l.Close() })
	dial := func() net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	accepted := make(chan net.Conn)
	accept := func() {
		conn, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		if l.open.Load() > 1 {
			t.Error("a second connection is accepted while the only one allowed is open")
		}
		accepted <- conn
	}
	client := dial()
	go accept()
	first := <-accepted
	dial()
	go accept()
	if _, err := io.WriteString(first, "no"); err != nil {
		t.Fatal(err)
	}
	if err := first.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(client); err != nil || string(got) != "no" {
		t.Errorf("%q, %v", got, err)
	}
	_ = first.Close()
	_ = first.Close() // makes no room for a third
	second := <-accepted
	if got := l.open.Load(); got != 1 {
		t.Errorf("%d connections are open, want 1", got)
	}
	go accept()
	_ = l.Close()
	if _, ok := <-accepted; ok {
		t.Error("a third connection is accepted after the listener was closed")
	}
	_ = second.Close()
}
