package slashid_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// A token in the shape of a JWT; each of its parts is long enough to be telling.
const (
	tokenHeader    = "eyJhbGciOiJFUzI1NiJ9"
	tokenClaims    = "eyJzdWIiOiJwZXJzb24tMSJ9"
	tokenSignature = "c2lnbmVkLWluLWEtdGVzdA"

	token = tokenHeader + "." + tokenClaims + "." + tokenSignature
)

// aRequest is the revocation that most tests attempt.
func aRequest() slashid.Request {
	return slashid.Request{
		Token:       slashid.NewSecret(token),
		Consistency: slashid.LocalRegion,
		Timeout:     30 * time.Second,
	}
}

// tellsToken reports whether text holds a part of the token, as it is or byte by
// byte in hexadecimal.
func tellsToken(text string) bool {
	digits := strings.NewReplacer(" ", "", ",", "", "0x", "").Replace(strings.ToLower(text))
	for _, part := range []string{tokenHeader, tokenClaims, tokenSignature} {
		if strings.Contains(text, part) || strings.Contains(digits, hex.EncodeToString([]byte(part))) {
			return true
		}
	}
	return false
}

// newClient returns a client of the SlashID at baseURL, closed with the test.
func newClient(tb testing.TB, baseURL string, rootCAs *x509.CertPool) *slashid.Client {
	tb.Helper()
	u, err := slashid.ParseBaseURL(baseURL)
	if err != nil {
		tb.Fatalf("ParseBaseURL(%q): %v", baseURL, err)
	}
	client := slashid.New(slashid.Config{BaseURL: u, RootCAs: rootCAs})
	tb.Cleanup(client.Close)
	return client
}

// patience is far longer than any call of these tests takes: only a call that
// would hang uses it up.
const patience = 30 * time.Second

// revoke attempts req. It fails the test when only the end of its context makes
// the client return.
func revoke(tb testing.TB, client *slashid.Client, req slashid.Request) slashid.Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	result := client.Revoke(ctx, req)
	if ctx.Err() != nil {
		tb.Fatalf("Revoke returned only when its context ended: %+v", result)
	}
	return result
}

// startServer serves handler over HTTP/1.1 on loopback.
func startServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	return startServerAs(t, handler, (*httptest.Server).Start)
}

// startServerAs starts a server of handler with start, which may configure it.
func startServerAs(t *testing.T, handler http.HandlerFunc, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes
	start(server)
	t.Cleanup(server.Close)
	return server
}

// startTLS starts a server over TLS and HTTP/1.1.
func startTLS(server *httptest.Server) { server.StartTLS() }

// startHTTP2 starts a server over TLS and HTTP/2.
func startHTTP2(server *httptest.Server) {
	server.EnableHTTP2 = true
	server.StartTLS()
}

// authorityOf returns the pool that vouches for server's certificate.
func authorityOf(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// countConnections counts the connections that are made to server; call it
// before server starts.
func countConnections(server *httptest.Server) *atomic.Int32 {
	var made atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	return &made
}

// peer does to each connection what its script says, then closes it. Its
// connections are pipes in memory: without kernel buffers, and without real time
// in a bubble of testing/synctest.
type peer struct {
	script  func(*peerConn)
	scripts sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// peerConn is the peer's end of a connection.
type peerConn struct {
	net.Conn

	// number counts the peer's connections, from 1.
	number int
	reader *bufio.Reader
}

// newPeer returns a peer that runs script, and a client that talks to it.
func newPeer(tb testing.TB, script func(*peerConn)) (*slashid.Client, *peer) {
	tb.Helper()
	return newPeerAt(tb, "http://slashid.test", script)
}

// newPeerAt is newPeer with the base URL that the client believes in.
func newPeerAt(tb testing.TB, baseURL string, script func(*peerConn)) (*slashid.Client, *peer) {
	tb.Helper()
	p := &peer{script: script}
	client := newClient(tb, baseURL, nil)
	client.DialThrough(p.dial)
	tb.Cleanup(p.close)
	return client, p
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.serve(far)
	return near, nil
}

// serve runs the script on conn.
func (p *peer) serve(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
	c := &peerConn{Conn: conn, number: len(p.conns), reader: bufio.NewReader(conn)}
	p.scripts.Go(func() {
		defer c.Close()
		p.script(c)
	})
}

// connections returns how many connections have been made.
func (p *peer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// close ends the connections and waits for their scripts.
func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.scripts.Wait()
}

// startPeer is a peer on loopback, for what pipes lack: buffers and resets.
func startPeer(t *testing.T, script func(*peerConn)) *slashid.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAll(t, listener, script)
	return newClient(t, "http://"+listener.Addr().String(), nil)
}

// serveAll runs script on each of listener's connections until the test ends.
func serveAll(t *testing.T, listener net.Listener, script func(*peerConn)) {
	t.Helper()
	p := &peer{script: script}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		p.close()
	})
}

// readRequest reads one whole request; nil when the client has gone.
func (c *peerConn) readRequest() *http.Request {
	req, err := http.ReadRequest(c.reader)
	if err != nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil
	}
	return req
}

// answer writes text, in which "\n" stands for HTTP's line end. It reports false
// when the client has gone.
func (c *peerConn) answer(text string) bool {
	_, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
	return err == nil
}

// answerEach answers every request with text until the client goes.
func (c *peerConn) answerEach(text string) {
	for answered := true; answered; {
		answered = c.readRequest() != nil && c.answer(text)
	}
}

// waitForClose returns when the client has closed the connection.
func (c *peerConn) waitForClose() { _, _ = io.Copy(io.Discard, c.reader) }

// reset ends a connection on loopback with RST.
func (c *peerConn) reset() {
	if conn, ok := c.Conn.(*net.TCPConn); ok {
		_ = conn.SetLinger(0)
	}
	_ = c.Close()
}

// http2Conn is the server's end of an HTTP/2 connection, frame by frame
// (RFC 9113 section 4.1), to do what no well-behaved server can be made to do.
type http2Conn struct{ *peerConn }

const (
	frameHeaders   = 0x1
	frameRSTStream = 0x3
	frameSettings  = 0x4
	frameGoAway    = 0x7

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4

	codeNoError       = 0x0
	codeInternalError = 0x2
	codeRefusedStream = 0x7
)

// startHTTP2Peer starts a peer over TLS and HTTP/2 on loopback. When the script
// starts, the connection is open and the settings are sent.
func startHTTP2Peer(t *testing.T, script func(http2Conn)) *slashid.Client {
	t.Helper()
	certified := startServerAs(t, nil, startTLS)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: certified.TLS.Certificates,
		NextProtos:   []string{"h2"},
		MinVersion:   tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	serveAll(t, listener, func(c *peerConn) {
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		if _, err := c.reader.Discard(len(preface)); err != nil {
			return
		}
		conn := http2Conn{c}
		conn.write(frameSettings, 0, 0, nil)
		script(conn)
	})
	return newClient(t, "https://"+listener.Addr().String(), authorityOf(certified))
}

func (c http2Conn) write(kind, flags byte, stream uint32, payload []byte) {
	frame := []byte{0, 0, byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, _ = c.Write(append(frame, payload...))
}

// readRequest reads to the end of the next request and returns its stream; 0
// when the client has gone.
func (c http2Conn) readRequest() (stream uint32) {
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(c.reader, head); err != nil {
			return 0
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := c.reader.Discard(size); err != nil {
			return 0
		}
		kind, flags := head[3], head[4]
		stream = binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			c.write(frameSettings, flagAck, 0, nil)
		case stream != 0 && flags&flagEndStream != 0:
			return stream
		}
	}
}

// revoked answers the request of stream with 204.
func (c http2Conn) revoked(stream uint32) {
	const status204 = 0x80 | 9 // the static table's entry 9, RFC 7541 appendix A
	c.write(frameHeaders, flagEndHeaders|flagEndStream, stream, []byte{status204})
}

// resetStream ends stream with an error code.
func (c http2Conn) resetStream(stream, code uint32) {
	c.write(frameRSTStream, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

// goAway tells that no stream above last was processed, or will be, and ends
// the answers.
func (c http2Conn) goAway(last, code uint32, debug string) {
	payload := binary.BigEndian.AppendUint32(nil, last)
	payload = binary.BigEndian.AppendUint32(payload, code)
	c.write(frameGoAway, 0, 0, append(payload, debug...))
	if conn, ok := c.Conn.(*tls.Conn); ok {
		_ = conn.CloseWrite()
	}
}
