package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

// A connection that quash ends is as it should be, however it ends it.
func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const half = "POST / HTTP/1.1\r\nHo"
	got := make(chan string, 1)
	go func() {
		defer close(got)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		read := make([]byte, len(half))
		_, _ = io.ReadFull(conn, read)
		got <- string(read)
		_ = conn.Close()
	}()
	l := &load{quash: &quash{rest: "http://" + listener.Addr().String()}}

	if complaint := l.awaitEnd(t.Context(), half); complaint != "" {
		t.Error(complaint)
	}
	if read := <-got; read != half {
		t.Errorf("%q arrived", read)
	}

	_ = listener.Close()
	if complaint := l.awaitEnd(t.Context(), half); !strings.Contains(complaint, "refused") {
		t.Errorf("where nobody listens: %q", complaint)
	}
}
