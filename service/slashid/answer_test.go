package slashid

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// brokenAnswers are responses that net/http cannot parse and quotes in its errors. SECRET
// stands for parts of the request that the peer sends back.
var brokenAnswers = []string{
	"SECRET\n\n",
	"HTTP/1.1 SECRET\n\n",
	"HTTP/1.1 SECRET \n\n",
	"HTTP/SECRET 204 No Content\n\n",
	"HTTP/1.1 2SECRET04 No Content\n\n",
	"HTTP/1.1 200 OK\nSECRET\n\n",
	"HTTP/1.1 200 OK\n: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nTransfer-Encoding: SECRET\n\n",
}

// For any bytes that a peer answers with, the result comes in time, is plausible, and contains
// no part of a secret.
func FuzzRevokeAnswer(f *testing.F) {
	for _, broken := range brokenAnswers {
		for _, secret := range []string{token, tokenClaims[4:16], apiKey, apiKey[7:19]} {
			f.Add(strings.NewReplacer("SECRET", secret, "\n", "\r\n").Replace(broken))
		}
	}
	for _, status := range []int{0, 100, 101, 204, 302, 400, 408, 429, 503, 999} {
		f.Add(fmt.Sprintf("HTTP/1.1 %03d\r\nRetry-After: 5\r\nSlashid-Correlation-Id: %s\r\n\r\n%s", status, tokenClaims, envelope))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nContent-Length: 9999\r\nSlashid-Correlation-Id: 7f0c\xe9\x00\r\nRetry-After: -1\r\n\r\n%s", status, envelope))
		f.Add(fmt.Sprintf("HTTP/1.1 %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", status, len(page), page))
	}
	f.Add("")
	f.Add("HTTP/1.0 204\r\n\r\n")
	f.Add("HTTP/1.1 103\r\n\r\nHTTP/1.1 204\r\n\r\n")
	f.Add("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n" + token)
	f.Add("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://elsewhere.test/" + token + "\r\n\r\n")
	id := regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
	f.Fuzz(func(t *testing.T, answer string) {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, "http://slashid.test")
			peer := connectPeer(t, client, func(c *peerConn) {
				c.readRequest()
				_, _ = io.WriteString(c, answer)
				time.Sleep(2 * bodyTimeout)
			})
			begun := time.Now()

			got := revoke(t, client, aRequest())

			peer.checkConnections(t, 1)
			if took := time.Since(begun); took > 2*bodyTimeout {
				t.Errorf("it took %v", took)
			}
			if got.Err != nil {
				checkNoAnswer(t, got, true)
			} else if !got.Sent || got.Resent || got.Status < 0 || got.Status > 999 || !id.MatchString(got.CorrelationID) ||
				got.RetryAfter < 0 || got.RetryAfter > maxRetryAfter || got.RetryAfter%time.Second != 0 {
				t.Errorf("got %+v", got)
			}
			checkShowsNoSecret(t, got)
		})
	})
}

// Over HTTP/2 a peer can put what it received into frames. No result contains part of a secret.
func TestCauseHoldsNothingOfABrokenAnswer(t *testing.T) {
	inBubbles(t, map[string]func(c *peerConn, stream uint32){
		"a reason to go away": func(c *peerConn, stream uint32) {
			_ = c.frames().WriteGoAway(stream, http2.ErrCodeInternal, []byte(token))
		},
		"a status":           func(c *peerConn, stream uint32) { c.head(stream, true, ":status", token) },
		"a field's name":     func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", token, "x") },
		"a field's value":    func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", "x", token+"\x00") },
		"a pseudo-header":    func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", ":"+token, "x") },
		"what is not HTTP/2": func(c *peerConn, _ uint32) { c.write(token) },
		"an invalid frame":   func(c *peerConn, _ uint32) { _ = c.frames().WriteRawFrame(http2.FramePing, 0, 0, []byte(token)) },
	}, func(t *testing.T, answer func(c *peerConn, stream uint32)) {
		client, _ := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() {
				answer(c, stream)
				return
			}
		})
		checkNoAnswer(t, revoke(t, client, aRequest()), true)
	})
}
