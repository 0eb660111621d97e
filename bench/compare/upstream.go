package compare

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// protocol is what the upstream speaks.
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2, TLS"
)

// answer answers a request of the n-th connection, from 1.
type answer func(n int64, w http.ResponseWriter, r *http.Request)

// revoked is SlashID's answer: the token is dead.
func revoked(_ int64, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Slashid-Correlation-Id", "0f6f2f1c-5c0f-4e3f-8f3a-0e9a4c1c2d11")
	w.WriteHeader(http.StatusNoContent)
}

// upstream is the stub of SlashID, in this process.
type upstream struct {
	addr, url   string
	connections atomic.Int64
	stop        func()
}

// goStreams is how many requests a Go server takes at once on an HTTP/2 connection.
const goStreams = 250

// startUpstream serves answers over a protocol.
func (e *env) startUpstream(speaks protocol, answer answer) (*upstream, error) {
	u := new(upstream)
	type connection struct{}
	server := &http.Server{
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: goStreams},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, u.connections.Add(1))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			n, _ := r.Context().Value(connection{}).(int64)
			answer(n, w, r)
		}),
	}
	scheme := "http://"
	if speaks == http2 {
		scheme = "https://"
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{e.certificate}}
	}
	var err error
	u.addr, u.stop, err = serveHTTP(server)
	u.url = scheme + u.addr
	return u, err
}

// serveHTTP serves on a free port, over TLS if the server has a certificate.
func serveHTTP(server *http.Server) (addr string, stop func(), err error) {
	server.ReadHeaderTimeout = time.Minute
	server.ErrorLog = log.New(io.Discard, "", 0) // of connections that the peer gives up
	listener, err := listen()
	if err != nil {
		return "", nil, err
	}
	served := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			served <- server.ServeTLS(listener, "", "")
			return
		}
		served <- server.Serve(listener)
	}()
	return listener.Addr().String(), func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			progressf("serve: %v", err)
		}
	}, nil
}

// listen listens on loopback.
func listen() (net.Listener, error) {
	return net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
}
