package compare

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/quashdev/quash/bench/testbed"
)

// protocol is the protocol of the upstream.
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2, TLS"
)

// answer answers a request. Requests and connections are numbered from 1.
type answer func(w http.ResponseWriter, r *http.Request, request, connection int64)

// revoked sends SlashID's answer for a revoked token.
func revoked(w http.ResponseWriter, _ *http.Request, _, _ int64) {
	w.Header().Set("Slashid-Correlation-Id", "0f6f2f1c-5c0f-4e3f-8f3a-0e9a4c1c2d11")
	w.WriteHeader(http.StatusNoContent)
}

// upstream is the stub of SlashID in this process.
type upstream struct {
	addr, url             string
	connections, requests atomic.Int64
	stop                  func()
}

// goStreams is the maximum of concurrent requests per HTTP/2 connection, as in Go's server.
const goStreams = 250

// startUpstream starts an upstream with a protocol and an answer.
func (e *env) startUpstream(speaks protocol, answer answer) (*upstream, error) {
	u := new(upstream)
	type connection struct{}
	server := &http.Server{ //nolint:gosec // testbed.Serve sets the timeout
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: goStreams},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, u.connections.Add(1))
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			n, _ := r.Context().Value(connection{}).(int64)
			answer(w, r, u.requests.Add(1), n)
		}),
	}
	listener, err := listen()
	if err != nil {
		return nil, err
	}
	scheme, certificate := "http://", (*tls.Certificate)(nil)
	if speaks == http2 {
		scheme, certificate = "https://", &e.certificate
	}
	u.addr = listener.Addr().String()
	u.url = scheme + u.addr
	u.stop = testbed.Serve(listener, server, certificate)
	return u, nil
}

// listen returns a listener on a free loopback port.
func listen() (net.Listener, error) {
	return net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
}
