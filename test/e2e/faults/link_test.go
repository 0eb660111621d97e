package faults_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// link is quash, a sandbox, and the faults between them:
//
//	quash → counted client → toxiproxy → origin → sandbox
//
// Toxiproxy leaks goroutines if a toxic closes a connection (as reset_peer and limit_data do)
// and the peer continues to write to it. So these toxics are used only where nothing follows:
// on answers that the server sends in one write, on the last part of a request, and at the start
// of a TLS handshake.
type link struct {
	t       *testing.T
	sandbox *sandbox.Sandbox
	origin  *origin
	proxy   *toxiproxy.Proxy
	client  *slashid.Client
	quash   *quashtest.Quash

	// attempts counts the attempts of the call. After fixAfter attempts, unless it is 0, the
	// fault is fixed.
	attempts atomic.Int32
	fixAfter int32
	fixing   sync.Once
	fixed    atomic.Bool
}

// startLink starts quash and its upstream, and then the fault of the case.
func startLink(t *testing.T, c *faultCase) *link {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics log through the global logger
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l := &link{t: t, sandbox: s, fixAfter: c.fixAfter}
	l.origin = startOrigin(t, l, c.http2)
	l.proxy = toxiproxy.NewProxy(
		toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		t.Name(), reserveAddr(t), l.origin.addr)
	if err := l.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.proxy.Stop)
	base := &url.URL{Scheme: "http", Host: l.proxy.Listen}
	if c.http2 {
		base.Scheme = "https"
	}
	l.client = slashid.New(slashid.Config{BaseURL: base, RootCAs: func() *x509.CertPool { return l.origin.authority }})
	t.Cleanup(l.client.Close)
	l.quash = quashtest.Serve(t, l, func(svc *service.Config, _ *server.Config) {
		svc.AnswerGrace = patience // so that only the fault decides
		if c.impatient {
			svc.AnswerGrace = 500 * time.Millisecond
		}
	})
	l.origin.handle = c.handle
	if c.begin != nil {
		c.begin(l)
	}
	l.attempts.Store(0)
	return l
}

// Revoke implements service.Upstream. It counts the attempts and fixes the fault after
// fixAfter of them.
func (l *link) Revoke(ctx context.Context, req slashid.Request) slashid.Result {
	n := l.attempts.Add(1)
	result := l.client.Revoke(ctx, req)
	if n == l.fixAfter {
		l.fix()
	}
	return result
}

// toxic adds a toxic to the proxy. The direction is upstream for requests, downstream for
// answers.
func (l *link) toxic(direction, name, attributes string) {
	l.t.Helper()
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(
		fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":{%s}}`, name, direction, attributes)))
	if err != nil {
		l.t.Fatalf("toxic %s: %v", name, err)
	}
}

// fix ends any fault.
func (l *link) fix() {
	l.fixing.Do(func() {
		l.fixed.Store(true)
		l.sandbox.ClearFaults()
		l.proxy.Toxics.ResetToxics(context.Background())
		if l.origin.isDown() {
			l.origin.restart()
		}
		if err := l.proxy.Start(); err != nil && err != toxiproxy.ErrProxyAlreadyStarted { //nolint:errorlint // not wrapped
			l.t.Errorf("restart the proxy: %v", err)
		}
	})
}

func (l *link) script(f sandbox.Fault) {
	l.t.Helper()
	if err := l.sandbox.Script(f); err != nil {
		l.t.Fatal(err)
	}
}

func (l *link) mint() string {
	l.t.Helper()
	token, err := l.sandbox.Mint(sandbox.MintOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	return token
}

// originHandler serves calls while the fault lasts.
type originHandler func(o *origin, w http.ResponseWriter, r *http.Request)

// origin serves the sandbox at one address, with a new server after each restart. The sandbox
// survives restarts.
type origin struct {
	link      *link
	addr      string
	tls       *tls.Config // nil: plaintext, HTTP/1
	authority *x509.CertPool
	handle    originHandler // nil: the sandbox answers

	running  sync.WaitGroup
	mu       sync.Mutex
	server   *http.Server // nil: down
	listener net.Listener
	peers    map[string]bool // the connections that made a call
}

func startOrigin(t *testing.T, l *link, http2 bool) *origin {
	t.Helper()
	o := &origin{link: l, addr: reserveAddr(t), peers: map[string]bool{}}
	if http2 {
		certified := httptest.NewTLSServer(nil)
		certified.Close()
		o.tls = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
		o.authority = x509.NewCertPool()
		o.authority.AddCert(certified.Certificate())
	}
	o.restart()
	t.Cleanup(func() {
		o.stop()
		o.running.Wait()
	})
	return o
}

// connKey is the context key for the connection of a request.
type connKey struct{}

// restart replaces the server. The new one listens before the connections of the old one break,
// so that a client that reconnects at once is served.
func (o *origin) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.server
	if old != nil {
		_ = o.listener.Close()
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		o.link.t.Errorf("restart upstream: %v", err)
		return
	}
	fresh := &http.Server{
		Handler:           o,
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes
		ReadHeaderTimeout: patience,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
	if o.tls != nil {
		// Terminate TLS in the listener, so that the server sees any net.Conn and startedConn
		// can wrap it.
		listener = startedListener{tls.NewListener(listener, o.tls)}
		fresh.Protocols = new(http.Protocols)
		fresh.Protocols.SetUnencryptedHTTP2(true)
	}
	o.listener, o.server = listener, fresh
	o.running.Go(func() { _ = fresh.Serve(listener) })
	if old != nil {
		_ = old.Close()
	}
}

// stop closes the server and its listener.
func (o *origin) stop() {
	if server := o.takeDown(); server != nil {
		_ = server.Close()
	}
}

// shutDown starts a graceful shutdown of the server. Over HTTP/2 it sends a GOAWAY; calls in
// progress continue.
func (o *origin) shutDown() {
	server := o.takeDown()
	begun := make(chan struct{})
	server.RegisterOnShutdown(func() { close(begun) })
	o.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			o.link.t.Errorf("the client keeps a connection that has been shut down: %v", err)
		}
	})
	<-begun
}

// takeDown closes the listener and returns the server.
func (o *origin) takeDown() *http.Server {
	o.mu.Lock()
	defer o.mu.Unlock()
	server := o.server
	if server != nil {
		_ = o.listener.Close()
	}
	o.server = nil
	return server
}

func (o *origin) isDown() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.server == nil
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.peers[r.RemoteAddr] = true
	o.mu.Unlock()
	if o.handle == nil || o.link.fixed.Load() {
		o.link.sandbox.ServeHTTP(w, r)
		return
	}
	o.handle(o, w, r)
}

// apply processes a call and discards the answer.
func (o *origin) apply(r *http.Request) {
	o.link.sandbox.ServeHTTP(httptest.NewRecorder(), r)
}

// connections returns the number of connections that made a call.
func (o *origin) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.peers)
}

// startedListener accepts HTTP/2 connections as startedConn.
type startedListener struct{ net.Listener }

func (l startedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	started := make(chan struct{})
	return &startedConn{conn, started, sync.OnceFunc(func() { close(started) })}, nil
}

// startedConn signals the server's first write. The server's first frame must be the first on
// the connection, and it may come after a call, so goAway waits for it.
type startedConn struct {
	net.Conn

	started chan struct{}
	start   func()
}

func (c *startedConn) Write(p []byte) (int, error) {
	defer c.start()
	return c.Conn.Write(p)
}

// goAway sends a GOAWAY frame: no stream above last was or will be processed (RFC 9113, section
// 6.8). Go's server itself never sends it for a stream that it has read.
func goAway(r *http.Request, last uint32) {
	const typeGoAway, noError = 0x7, 0x0
	frame := []byte{0, 0, 8, typeGoAway, 0, 0, 0, 0, 0}
	frame = binary.BigEndian.AppendUint32(frame, last)
	frame = binary.BigEndian.AppendUint32(frame, noError)
	conn := r.Context().Value(connKey{}).(*startedConn)
	<-conn.started
	_, _ = conn.Write(frame)
}

// reserveAddr returns an address that no other process gets until the test ends, even while no
// server listens there. The socket is bound but does not listen: with SO_REUSEADDR, which
// package net sets too, a listener can still use the address.
func reserveAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", addr.(*syscall.SockaddrInet4).Port)
}
