package slashid_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/service/slashid"
)

// framePeer is the server's end of a connection of HTTP/2, in frames.
type framePeer struct {
	*peerConn
	*http2.Framer

	// bodies are what has come of each request that has not ended.
	bodies map[uint32][]byte
}

// aFramePeer speaks HTTP/2 on a connection whose client begins.
func aFramePeer(c *peerConn) *framePeer {
	p := &framePeer{peerConn: c, Framer: http2.NewFramer(c.Conn, c.reader), bodies: map[uint32][]byte{}}
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return p
}

// greet reads the client's preface and settings, and answers with some.
func (p *framePeer) greet(settings ...http2.Setting) bool {
	if _, err := p.reader.Discard(len(http2.ClientPreface)); err != nil {
		return false
	}
	if _, err := p.ReadFrame(); err != nil {
		return false
	}
	return p.WriteSettings(settings...) == nil && p.WriteSettingsAck() == nil
}

// streams is the setting of how many requests there may be at a time.
func streams(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n}
}

// frame reads the next frame that is no answer to one of the peer's own.
func (p *framePeer) frame() http2.Frame {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return nil
		}
		if settings, ok := f.(*http2.SettingsFrame); !ok || !settings.IsAck() {
			return f
		}
	}
}

// request reads to the end of the next request; 0 when the client has gone.
func (p *framePeer) request() (stream uint32, token string) {
	for {
		switch f := p.frame().(type) {
		case nil:
			return 0, ""
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = p.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			_ = p.WriteWindowUpdate(0, max(f.Length, 1))
			p.bodies[f.StreamID] = append(p.bodies[f.StreamID], f.Data()...)
			if f.StreamEnded() {
				body := p.bodies[f.StreamID]
				delete(p.bodies, f.StreamID)
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

// revoked answers a request with 204.
func (p *framePeer) revoked(stream uint32) {
	const status204 = 0x80 | 9 // the static table's entry 9, RFC 7541 appendix A
	_ = p.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: []byte{status204}, EndHeaders: true, EndStream: true,
	})
}

// revokeEach answers each request with 204.
func (p *framePeer) revokeEach() {
	for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
		p.revoked(stream)
	}
}

// aside is p for another goroutine, to write alone.
func (p *framePeer) aside() *framePeer {
	return &framePeer{peerConn: p.peerConn, Framer: http2.NewFramer(p.Conn, nil)}
}

// drain reads until the client has gone.
func (p *framePeer) drain() { _, _ = io.Copy(io.Discard, p.reader) }

// slashidTest is a certificate of slashid.test for as long as any clock may say.
var slashidTest = sync.OnceValue(func() tls.Certificate {
	return pkitest.SelfSigned(&x509.Certificate{
		DNSNames:  []string{"slashid.test"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	})
})

func slashidTestCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(slashidTest().Leaf)
	return pool
}

// newFramePeer returns a peer that runs script on each connection, over TLS in memory,
// and a client that talks to it.
func newFramePeer(tb testing.TB, script func(*framePeer)) (*slashid.Client, *peer) {
	tb.Helper()
	return newTLSPeer(tb, "h2", func(c *peerConn) { script(aFramePeer(c)) })
}

// newTLSPeer is newPeer over TLS.
func newTLSPeer(tb testing.TB, protocol string, script func(*peerConn)) (*slashid.Client, *peer) {
	tb.Helper()
	p := &peer{script: overTLS(protocol, script)}
	client := newClient(tb, "https://slashid.test", slashidTestCAs())
	client.DialThrough(p.dial)
	tb.Cleanup(p.close)
	return client, p
}

// overTLS is a script on what TLS makes of a connection.
func overTLS(protocol string, script func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		secure := tls.Server(c.Conn, &tls.Config{
			Certificates: []tls.Certificate{slashidTest()}, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
		})
		if secure.Handshake() != nil {
			return
		}
		c.Conn = secure
		c.reader.Reset(secure)
		script(c)
	}
}

// shareFramePeer gives client one connection in memory, without TLS, whose peer runs
// script.
func shareFramePeer(tb testing.TB, client *slashid.Client, script func(*framePeer)) {
	tb.Helper()
	p := &peer{script: func(c *peerConn) { script(aFramePeer(c)) }}
	tb.Cleanup(p.close)
	near, far := net.Pipe()
	p.serve(far)
	if err := client.ShareHTTP2(near); err != nil {
		tb.Fatal(err)
	}
}

// newUnreachable returns a client that has no connections but those it is given.
func newUnreachable(tb testing.TB) *slashid.Client {
	tb.Helper()
	client := newClient(tb, "http://slashid.test", nil)
	client.DialThrough(hang)
	return client
}

// beginAll begins n attempts.
func beginAll(tb testing.TB, client *slashid.Client, n int) []*slashid.Attempt {
	tb.Helper()
	all := make([]*slashid.Attempt, n)
	for i := range all {
		all[i] = client.Begin(tb.Context(), aRequest())
	}
	return all
}

// wantAll checks what attempts come to.
func wantAll(tb testing.TB, all []*slashid.Attempt, kind slashid.Kind) {
	tb.Helper()
	for i, a := range all {
		select {
		case <-a.Done():
			if got := a.Result(); got.Kind != kind {
				tb.Errorf("attempt %d: got %+v, want %v", i, got, kind)
			}
		case <-time.After(patience):
			tb.Fatalf("attempt %d does not end", i)
		}
	}
}

// goroutinesOf counts the goroutines that run code of a package.
func goroutinesOf(name string) int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte(name)) {
			n++
		}
	}
	return n
}

// revokingEach are peers that revoke every token, by their protocol.
var revokingEach = map[string]func(*peerConn){
	"http/1.1": func(c *peerConn) { c.answerEach(revoked) },
	"h2": func(c *peerConn) {
		if p := aFramePeer(c); p.greet() {
			p.revokeEach()
		}
	},
}

// wantNoLoad checks that no request waits for a connection, nor is one on any.
func wantNoLoad(t *testing.T, client *slashid.Client) {
	t.Helper()
	if queued, busy := client.Load(); queued != 0 || busy != 0 {
		t.Errorf("%d wait, %d are under way", queued, busy)
	}
}
