package slashid_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

// Whatever an HTTP/2 peer sends after its settings, the requests on the connection end
// with it, and nothing stays behind.
func FuzzHTTP2Peer(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89})                                     // 204
	f.Add([]byte{0, 0, 1, 1, 4, 0, 0, 0, 3, 0x8c, 0, 0, 1, 0, 1, 0, 0, 0, 3, '{'})     // 400 and a body
	f.Add([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})                   // GOAWAY
	f.Add([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1})                         // fewer streams
	f.Add([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0})                         // no window
	f.Add([]byte{0, 0, 4, 8, 0, 0, 0, 0, 5, 0x7f, 0xff, 0xff, 0xff})                   // too much of one
	f.Add([]byte{0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7})                               // RST_STREAM
	f.Add([]byte{0, 0, 1, 1, 0, 0, 0, 0, 1, 0x89, 0, 0, 0, 9, 4, 0, 0, 0, 1})          // CONTINUATION
	f.Add([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 5, 0, 0}) // PING, half a frame
	f.Fuzz(func(t *testing.T, frames []byte) {
		synctest.Test(t, func(t *testing.T) {
			client := newUnreachable(t)
			shareFramePeer(t, client, func(p *framePeer) {
				if !p.greet(streams(3), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 200}) {
					return
				}
				go p.drain()
				time.Sleep(time.Second)
				_, _ = p.Write(frames)
				time.Sleep(time.Second)
			})
			endAfterAll(t, client)
		})
	})
}

// Whatever one of HTTP/1.1 answers, likewise.
func FuzzHTTP1Peer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 x\r\nContent-Length: 3\r\n\r\nab"))
	f.Add([]byte("HTTP/1.1 101 x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		synctest.Test(t, func(t *testing.T) {
			client, _ := newPeer(t, func(c *peerConn) {
				if c.readRequest() != nil {
					go func() { _, _ = io.Copy(io.Discard, c.reader) }()
					_, _ = c.Write(answer)
					time.Sleep(time.Second)
				}
			})
			endAfterAll(t, client)
		})
	})
}

// endAfterAll begins attempts and sees to it that they end, and the client with them.
func endAfterAll(t *testing.T, client *slashid.Client) {
	t.Helper()
	all := beginAll(t, client, 5)
	time.Sleep(2 * slashid.BodyPatience)
	for _, a := range all { // those that wait for another connection
		a.GiveUp(slashid.NoAnswer)
		<-a.Done()
		if got := a.Result(); got.Err != nil && tellsToken(got.Err.Error()) {
			t.Errorf("the token is told: %v", got.Err)
		}
	}
	synctest.Wait()
	wantNoLoad(t, client)
}
