package sandbox

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// TB is the part of [testing.TB] that [Start] needs. It keeps package testing out of
// programs that embed the sandbox. Fatalf must not return.
type TB interface {
	Helper()
	Cleanup(cleanup func())
	Fatalf(format string, args ...any)
}

// Server is a [Sandbox] with an HTTP listener.
type Server struct {
	*Sandbox

	// URL is the base URL without a trailing slash, such as http://127.0.0.1:40123. The
	// server accepts HTTP/1.1, and plaintext HTTP/2 with prior knowledge.
	URL string
}

// Start serves a new Sandbox on a free loopback port until the test ends. It fails the test
// if the Sandbox cannot start.
func Start(tb TB, cfg Config) *Server {
	tb.Helper()
	s, err := New(cfg)
	if err != nil {
		tb.Fatalf("starting the sandbox: %v", err)
	}
	tb.Cleanup(s.Close)

	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("starting the sandbox: %v", err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: s, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		s.Close() // first, so that no handler waits
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Fatalf("serving the sandbox: %v", err)
		}
	})
	return &Server{Sandbox: s, URL: "http://" + listener.Addr().String()}
}
