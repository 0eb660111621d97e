package slashid

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/secrettest"
)

const (
	// token looks like a JWT. Each part is long enough for the leak scan.
	token       = "eyJhbGciOiJFUzI1NiJ9." + tokenClaims + ".c2lnbmVkLWluLWEtdGVzdA"
	tokenClaims = "eyJzdWIiOiJwZXJzb24tMSJ9"
	apiKey      = "an-api-key-of-the-organisation"

	// envelope is the body of SlashID's responses except 204.
	envelope = `{"meta": {"pagination": {"limit": 0, "offset": 0, "total_count": 0}},` +
		` "errors": [{"httpcode": 408, "message": "some text"}]}`
	// page is the body of proxies' responses.
	page = "<html><body><h1>Something went wrong</h1></body></html>"
)

// aRequest returns the request that most tests send.
func aRequest() Request {
	return Request{
		Token:       NewSecret(token),
		Consistency: LocalRegion,
		Timeout:     30 * time.Second,
		Credentials: Credentials{APIKey: NewSecret(apiKey), Authorization: NewSecret("Bearer " + token)},
	}
}

// checkShowsNoSecret checks that no printed form of a result contains a secret.
func checkShowsNoSecret(tb testing.TB, got Result) {
	tb.Helper()
	text := fmt.Sprintf("%v %+v %#v %#v", got.Err, got, got, got.Err)
	for _, secret := range []string{token, apiKey} {
		if trace := secrettest.Trace(text, secret); trace != "" {
			tb.Errorf("%q is in %q", trace, text)
		}
	}
}

// newClient returns a client of the SlashID at baseURL, which is closed when the test ends. It
// trusts the certificate of these tests.
func newClient(tb testing.TB, baseURL string, configure ...func(*Config)) *Client {
	tb.Helper()
	u, err := ParseBaseURL(baseURL)
	if err != nil {
		tb.Fatalf("ParseBaseURL(%q): %v", baseURL, err)
	}
	cfg := Config{BaseURL: u, RootCAs: trusted}
	for _, set := range configure {
		set(&cfg)
	}
	client := New(cfg)
	tb.Cleanup(client.Close)
	return client
}

var (
	certificate = sync.OnceValue(newCertificate)
	trusted     = sync.OnceValue(func() *x509.CertPool { return poolOf(certificate()) })
)

// newCertificate returns a certificate that is also valid in a bubble of testing/synctest,
// where time begins in 2000.
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

// The ALPN names of the protocols between quash and SlashID.
var protocols = []string{"http/1.1", "h2"}

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

// overBoth is inBubbles for each case and protocol.
func overBoth[T any](t *testing.T, cases map[string]T, test func(t *testing.T, protocol string, tt T)) {
	t.Helper()
	all := map[string]func(t *testing.T){}
	for name, tt := range cases {
		for _, protocol := range protocols {
			all[protocol+" "+name] = func(t *testing.T) { test(t, protocol, tt) }
		}
	}
	inBubbles(t, all, func(t *testing.T, run func(t *testing.T)) { run(t) })
}

// overEach is overBoth with one case.
func overEach(t *testing.T, test func(t *testing.T, protocol string)) {
	t.Helper()
	overBoth(t, map[string]bool{"": true}, func(t *testing.T, protocol string, _ bool) { test(t, protocol) })
}

// revoke sends req. It fails the test if the client does not return before the context ends,
// because no call of these tests takes that long.
func revoke(tb testing.TB, client *Client, req Request) Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	result := client.Revoke(ctx, req)
	if ctx.Err() != nil {
		tb.Fatalf("Revoke returned only when its context ended: %+v", result)
	}
	return result
}

// begin sends a request on another goroutine, and returns a channel for the result.
func begin(t *testing.T, client *Client) <-chan Result {
	t.Helper()
	result := make(chan Result, 1)
	go func() { result <- client.Revoke(t.Context(), aRequest()) }()
	synctest.Wait()
	return result
}

// checkRevoked checks the result of a request that was sent once and got a 204.
func checkRevoked(tb testing.TB, got Result) {
	tb.Helper()
	if want := (Result{Status: http.StatusNoContent, Sent: true}); got != want {
		tb.Errorf("got %+v, want %+v", got, want)
	}
}

// checkNoAnswer checks the result of a request without a response, and that its cause contains
// no secret.
func checkNoAnswer(tb testing.TB, got Result, sent bool) {
	tb.Helper()
	want := Result{Sent: sent, NoConnection: got.NoConnection, Err: got.Err}
	if got != want || got.Err == nil {
		tb.Errorf("got %+v, want no answer, an error and Sent %t", got, sent)
	}
	checkShowsNoSecret(tb, got)
}

// startServer serves handler on loopback, over TLS with an ALPN protocol, or in plaintext
// without one. The handler is called when the whole request has been read.
func startServer(t *testing.T, protocol string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS12}
	server.EnableHTTP2 = protocol == "h2"
	if protocol == "" {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server
}

// peer does to each connection what its script says, then closes it. Its connections are
// buffers in memory, so that it can run in a bubble of testing/synctest.
type peer struct {
	listener *bufconn.Listener
	accepts  sync.WaitGroup
	scripts  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// newPeer returns a peer that runs script over TLS, and a client of it.
func newPeer(tb testing.TB, protocol string, script func(*peerConn)) (*Client, *peer) {
	tb.Helper()
	client := newClient(tb, "https://slashid.test")
	return client, connectPeer(tb, client, overTLS(certificate(), protocol, script))
}

// dialThrough makes c get its connections from dial. Call it before Revoke.
func (c *Client) dialThrough(dial dialFunc) {
	c.dial = dial
	c.transport.Store(c.newTransport())
}

// connectPeer makes client connect to a peer that runs script, for every address.
func connectPeer(tb testing.TB, client *Client, script func(*peerConn)) *peer {
	tb.Helper()
	p := &peer{listener: bufconn.Listen(64 << 10)}
	p.accepts.Go(func() { p.serve(script) })
	client.dialThrough(p.dial)
	tb.Cleanup(p.close)
	return p
}

func (p *peer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return p.listener.DialContext(ctx)
}

func (p *peer) serve(script func(*peerConn)) {
	for conn, err := p.listener.Accept(); err == nil; conn, err = p.listener.Accept() {
		p.mu.Lock()
		p.conns = append(p.conns, conn)
		c := &peerConn{Conn: conn, reader: bufio.NewReader(conn), number: len(p.conns)}
		p.mu.Unlock()
		p.scripts.Go(func() {
			defer func() { _ = c.Close() }() // a script may wrap it in TLS
			script(c)
		})
	}
}

// checkConnections checks the number of connections so far.
func (p *peer) checkConnections(tb testing.TB, want int) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := len(p.conns); got != want {
		tb.Errorf("%d connections were made, want %d", got, want)
	}
}

// close closes the connections and waits for their scripts.
func (p *peer) close() {
	_ = p.listener.Close()
	p.accepts.Wait()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.scripts.Wait()
}

// peerConn is the peer's end of a connection. It reads requests and writes responses in either
// protocol, and can do what a correct server cannot.
type peerConn struct {
	net.Conn

	reader *bufio.Reader
	// number counts the peer's connections, from 1.
	number int
	// framer is for HTTP/2; nil over HTTP/1.1.
	framer *http2.Framer
	// window is how much of a response body the client accepts before it reads it.
	window int
}

// overTLS returns a script that runs another one after the TLS handshake and, over HTTP/2, the
// preface.
func overTLS(cert tls.Certificate, protocol string, script func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		secure := tls.Server(c.Conn, &tls.Config{
			Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
		})
		if secure.Handshake() != nil {
			return
		}
		c.Conn, c.reader = secure, bufio.NewReader(secure)
		if protocol == "h2" {
			c.framer = http2.NewFramer(nil, c.reader)
			if _, err := c.reader.Discard(len(http2.ClientPreface)); err != nil || c.frames().WriteSettings() != nil {
				return
			}
		}
		script(c)
	}
}

// answering returns a script that answers each request with a status.
func answering(status int) func(*peerConn) {
	return func(c *peerConn) {
		for stream := range c.requests() {
			c.answer(stream, status)
		}
	}
}

// counting returns a script that counts requests, and answers them with 204.
func counting(requests *int) func(*peerConn) {
	return func(c *peerConn) {
		for stream := range c.requests() {
			*requests++
			c.answer(stream, http.StatusNoContent)
		}
	}
}

// firstOnly returns a script that runs another one on the first connection. Later connections
// answer each request with 204.
func firstOnly(first func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		if c.number == 1 {
			first(c)
		} else {
			answering(http.StatusNoContent)(c)
		}
	}
}

// requests yields the stream of each request that has been read to its end. Over HTTP/1.1 it
// yields the number of the request. It ends when the client closes the connection.
func (c *peerConn) requests() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for n := uint32(1); ; n++ {
			stream := n
			if c.framer != nil {
				stream = c.readStream()
			} else if c.readRequest() == nil {
				return
			}
			if stream == 0 || !yield(stream) {
				return
			}
		}
	}
}

// readRequest reads a whole HTTP/1.1 request. It returns nil if the client closed the connection.
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

// readStream reads frames to the end of a request. It returns 0 if the client closed the
// connection.
func (c *peerConn) readStream() (stream uint32) {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return 0
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
				c.window = int(size)
			}
			if !f.IsAck() {
				_ = c.frames().WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = c.frames().WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			_ = c.frames().WriteWindowUpdate(0, max(f.Length, 1))
			if f.StreamEnded() {
				return f.StreamID
			}
		}
	}
}

// frames returns the framer for writing, which several goroutines may use.
func (c *peerConn) frames() *http2.Framer { return http2.NewFramer(c.Conn, nil) }

// answer sends a response with a status and without a body.
func (c *peerConn) answer(stream uint32, status int) {
	if c.framer != nil {
		c.head(stream, true, ":status", strconv.Itoa(status))
		return
	}
	c.write(fmt.Sprintf("HTTP/1.1 %d \nContent-Length: 0\n\n", status))
}

// head sends an HTTP/2 header, and optionally ends the stream.
func (c *peerConn) head(stream uint32, end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = c.frames().WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// write writes text with "\n" replaced by "\r\n". It reports false if the client closed the
// connection.
func (c *peerConn) write(text string) bool {
	_, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
	return err == nil
}

// waitForClose waits until the client closes the connection.
func (c *peerConn) waitForClose() { _, _ = io.Copy(io.Discard, c.reader) }
