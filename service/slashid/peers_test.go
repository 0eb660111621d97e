package slashid_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/service/slashid"
)

// A token in the shape of a JWT. Each part is long enough to be a secret of its own.
const (
	tokenHeader    = "eyJhbGciOiJFUzI1NiJ9"
	tokenClaims    = "eyJzdWIiOiJwZXJzb24tMSJ9"
	tokenSignature = "c2lnbmVkLWluLWEtdGVzdA"

	token = tokenHeader + "." + tokenClaims + "." + tokenSignature

	// revoked is the answer of HTTP/1.1 to a revocation that is complete.
	revoked = "HTTP/1.1 204 No Content\n\n"
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

// newClient returns a client of the SlashID at baseURL, closed with the test. It trusts
// the certificate of these tests.
func newClient(tb testing.TB, baseURL string) *slashid.Client {
	tb.Helper()
	return newClientWith(tb, baseURL, slashid.Config{RootCAs: trusted})
}

// newClientWith is newClient with a Config of the test's own.
func newClientWith(tb testing.TB, baseURL string, cfg slashid.Config) *slashid.Client {
	tb.Helper()
	u, err := slashid.ParseBaseURL(baseURL)
	if err != nil {
		tb.Fatalf("ParseBaseURL(%q): %v", baseURL, err)
	}
	cfg.BaseURL = u
	client := slashid.New(cfg)
	tb.Cleanup(client.Close)
	return client
}

// certificate is that of the servers in these tests, trusted who trusts it.
var (
	certificate = sync.OnceValue(newCertificate)
	trusted     = sync.OnceValue(func() *x509.CertPool { return poolOf(certificate()) })
)

// newCertificate returns a certificate that is valid also in a bubble of
// testing/synctest, where time begins in 2000.
func newCertificate() tls.Certificate {
	return pkitest.SelfSigned(&x509.Certificate{
		DNSNames:    []string{"slashid.test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:    time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	})
}

func poolOf(cert tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return pool
}

// inBubbles runs a test for each case, in a bubble of testing/synctest.
func inBubbles[T any](t *testing.T, cases map[string]T, test func(t *testing.T, tt T)) {
	t.Helper()
	t.Parallel()
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, tt) })
		})
	}
}

// overBoth is inBubbles over HTTP/1.1 and over HTTP/2, as ALPN calls them.
func overBoth[T any](t *testing.T, cases map[string]T, test func(t *testing.T, protocol string, tt T)) {
	t.Helper()
	all := map[string]func(t *testing.T){}
	for name, tt := range cases {
		for _, protocol := range []string{"http/1.1", "h2"} {
			all[protocol+", "+name] = func(t *testing.T) { test(t, protocol, tt) }
		}
	}
	inBubbles(t, all, func(t *testing.T, run func(t *testing.T)) { run(t) })
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

// revokeAll attempts n requests at once and returns their results.
func revokeAll(tb testing.TB, client *slashid.Client, n int) []slashid.Result {
	tb.Helper()
	results := make([]slashid.Result, n)
	var calls sync.WaitGroup
	for i := range results {
		calls.Go(func() { results[i] = client.Revoke(tb.Context(), aRequest()) })
	}
	calls.Wait()
	return results
}

// checkRevoked checks the result of a request that was sent once and answered by 204.
func checkRevoked(tb testing.TB, got slashid.Result) {
	tb.Helper()
	if want := (slashid.Result{Status: http.StatusNoContent, Sent: true}); got != want {
		tb.Errorf("got %+v, want %+v", got, want)
	}
}

// checkNoAnswer checks the result of an attempt that got no answer.
func checkNoAnswer(tb testing.TB, got slashid.Result, sent bool) {
	tb.Helper()
	want := slashid.Result{Sent: sent, Err: got.Err}
	if got != want || got.Err == nil {
		tb.Errorf("got %+v, want no answer, an error and Sent %t", got, sent)
	}
}

// protocols are the ways in which a real server may be reached.
var protocols = map[string]func(*httptest.Server){
	"HTTP/1.1":          (*httptest.Server).Start,
	"HTTP/1.1 over TLS": startTLS,
	"HTTP/2": func(server *httptest.Server) {
		server.EnableHTTP2 = true
		startTLS(server)
	},
}

func startTLS(server *httptest.Server) {
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
}

// startServer serves handler over HTTP/1.1 on loopback.
func startServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	return startServerAs(t, handler, (*httptest.Server).Start)
}

// startServerAs starts a server of handler with start, which may configure it.
func startServerAs(t *testing.T, handler http.HandlerFunc, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An answer that comes before the token is no answer to it.
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes
	start(server)
	t.Cleanup(server.Close)
	return server
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
// connections are pipes in memory, which take no real time in a bubble of
// testing/synctest.
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
	client := newClient(tb, "http://slashid.test")
	return client, connectPeer(tb, client, script)
}

// connectPeer has client reach a peer that runs script, at whatever address.
func connectPeer(tb testing.TB, client *slashid.Client, script func(*peerConn)) *peer {
	tb.Helper()
	p := &peer{script: script}
	client.DialThrough(p.dial)
	tb.Cleanup(p.close)
	return p
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.serve(far)
	return newOutbox(near), nil
}

// serve runs the script on conn.
func (p *peer) serve(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
	c := &peerConn{Conn: conn, number: len(p.conns), reader: bufio.NewReader(conn)}
	p.scripts.Go(func() {
		defer func() { _ = c.Close() }() // a script may put TLS on it
		p.script(c)
	})
}

// connections returns how many connections have been made.
func (p *peer) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// checkConnections checks how many connections have been made.
func (p *peer) checkConnections(tb testing.TB, want int) {
	tb.Helper()
	if got := p.connections(); got != want {
		tb.Errorf("%d connections were made, want %d", got, want)
	}
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
	servePeer(t, listener, script)
	return newClient(t, "http://"+listener.Addr().String())
}

// servePeer runs script on each of listener's connections until the test ends.
func servePeer(t *testing.T, listener net.Listener, script func(*peerConn)) *peer {
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
	return p
}

// readRequest reads one whole request, and its token; nil when the client has closed.
func (c *peerConn) readRequest() *http.Request {
	req, err := http.ReadRequest(c.reader)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return req
}

// answer writes text, in which "\n" stands for HTTP's line end. It reports false
// when the client has closed.
func (c *peerConn) answer(text string) bool {
	_, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
	return err == nil
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

// newTLSPeer is newPeer over TLS, with the protocol that ALPN settles on.
func newTLSPeer(tb testing.TB, protocol string, script func(*peerConn)) (*slashid.Client, *peer) {
	tb.Helper()
	client := newClient(tb, "https://slashid.test")
	return client, connectPeer(tb, client, overTLS(certificate(), protocol, script))
}

// overTLS is a script that runs another one after a handshake.
func overTLS(cert tls.Certificate, protocol string, script func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		secure := tls.Server(c.Conn, &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
		})
		if secure.Handshake() != nil {
			return
		}
		c.Conn = secure
		c.reader.Reset(secure)
		script(c)
	}
}

// answering is a script that answers each request by an HTTP status, in the protocol
// that ALPN has settled on. It passes on the tokens that arrive if that is wanted.
func answering(protocol, status string, arrived func(token string)) func(*peerConn) {
	if arrived == nil {
		arrived = func(string) {}
	}
	if protocol == "h2" {
		return overHTTP2(func(c *http2Conn) {
			for stream, token := c.readRequest(); stream != 0; stream, token = c.readRequest() {
				arrived(token)
				c.answer(stream, status)
			}
		})
	}
	return func(c *peerConn) {
		for req := c.readRequest(); req != nil; req = c.readRequest() {
			body, _ := io.ReadAll(req.Body)
			arrived(tokenIn(body))
			c.answer("HTTP/1.1 " + status + " \nContent-Length: 0\n\n")
		}
	}
}

// newHTTP2Peer returns a peer that runs script on each connection of HTTP/2, over TLS,
// and a client that talks to it. When the script starts, the settings are sent.
func newHTTP2Peer(tb testing.TB, script func(*http2Conn), settings ...http2.Setting) (*slashid.Client, *peer) {
	tb.Helper()
	return newTLSPeer(tb, "h2", overHTTP2(script, settings...))
}

// overHTTP2 is a script that runs another one after HTTP/2 has begun.
func overHTTP2(script func(*http2Conn), settings ...http2.Setting) func(*peerConn) {
	return func(c *peerConn) {
		out := newOutbox(c.Conn)
		c.Conn = out
		if _, err := c.reader.Discard(len(http2.ClientPreface)); err != nil {
			return
		}
		p := &http2Conn{peerConn: c, Framer: http2.NewFramer(out, c.reader), bodies: map[uint32][]byte{}}
		if p.WriteSettings(settings...) == nil {
			script(p)
		}
	}
}

// outbox is a connection whose Write does not wait for a reader. Otherwise two ends
// that write at a time, as those of HTTP/2 do, would wait for each other on a pipe.
type outbox struct {
	net.Conn

	mu     sync.Mutex
	closed bool
	writes chan []byte
}

func newOutbox(conn net.Conn) *outbox {
	o := &outbox{Conn: conn, writes: make(chan []byte, 1000)}
	go func() {
		for b := range o.writes {
			_, _ = conn.Write(b)
		}
		_ = conn.Close()
	}()
	return o
}

// Write implements net.Conn.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, net.ErrClosed
	}
	o.writes <- bytes.Clone(b)
	return len(b), nil
}

// Close closes the connection after all that was written.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.writes)
	}
	return nil
}

// http2Conn is the server's end of an HTTP/2 connection, frame by frame, to do what
// no well-behaved server can be made to do.
type http2Conn struct {
	*peerConn
	*http2.Framer

	// bodies are what has come of each request that has not ended.
	bodies map[uint32][]byte
	// resets counts the requests that the client has cancelled.
	resets atomic.Int32
	// window is how much of an answer's body the client takes before it has read it.
	window uint32
}

// readRequest reads to the end of the next request; 0 when the client has closed.
func (c *http2Conn) readRequest() (stream uint32, token string) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return 0, ""
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
				c.window = size
			}
			if !f.IsAck() {
				_ = c.aside().WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = c.aside().WritePing(true, f.Data)
			}
		case *http2.RSTStreamFrame:
			delete(c.bodies, f.StreamID)
			c.resets.Add(1)
		case *http2.DataFrame:
			_ = c.aside().WriteWindowUpdate(0, max(f.Length, 1))
			c.bodies[f.StreamID] = append(c.bodies[f.StreamID], f.Data()...)
			if f.StreamEnded() {
				body := c.bodies[f.StreamID]
				delete(c.bodies, f.StreamID)
				return f.StreamID, tokenIn(body)
			}
		}
	}
}

func tokenIn(body []byte) string {
	var request struct {
		Token string `json:"token"`
	}
	_ = json.Unmarshal(body, &request)
	return request.Token
}

// aside writes frames while another goroutine may write others.
func (c *http2Conn) aside() *http2.Framer { return http2.NewFramer(c.Conn, nil) }

// answer answers a request with an HTTP status, and without a body.
func (c *http2Conn) answer(stream uint32, status string) { c.head(stream, true, ":status", status) }

// head sends a header, and ends the stream if it is said to.
func (c *http2Conn) head(stream uint32, end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	out := c.aside()
	_ = out.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block.Next(16 << 10), EndHeaders: block.Len() == 0, EndStream: end,
	})
	for block.Len() > 0 {
		fragment := block.Next(16 << 10)
		_ = out.WriteContinuation(stream, block.Len() == 0, fragment)
	}
}
