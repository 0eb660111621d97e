package slashid_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// brokenAnswers are answers that net/http cannot read and quotes in its errors;
// SECRET stands for what the peer sends back of the request.
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

// A peer that answers with what it received finds none of it in an error's text.
func TestCauseHoldsNothingOfABrokenAnswer(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{token, tokenClaims, apiKey, "Bearer " + token} {
		for _, broken := range brokenAnswers {
			client := newClient(t, "http://slashid.test")
			connectPeer(t, client, func(c *peerConn) {
				c.readRequest()
				c.write(strings.ReplaceAll(broken, "SECRET", secret))
			})
			checkNoAnswer(t, revoke(t, client, aRequest()), true)
		}
	}
}

func TestCauseHoldsNothingOfABrokenAnswerOverHTTP2(t *testing.T) {
	inBubbles(t, map[string]func(c *peerConn, stream uint32){
		"a reason to go away": func(c *peerConn, stream uint32) {
			_ = c.frames().WriteGoAway(stream, http2.ErrCodeInternal, []byte(token))
		},
		"a status":             func(c *peerConn, stream uint32) { c.head(stream, true, ":status", token) },
		"a field's name":       func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", token, "x") },
		"a field's value":      func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", "x", token+"\x00") },
		"a pseudo-header":      func(c *peerConn, stream uint32) { c.head(stream, true, ":status", "204", ":"+token, "x") },
		"what is not HTTP/2":   func(c *peerConn, _ uint32) { c.write(token) },
		"a frame that is none": func(c *peerConn, _ uint32) { _ = c.frames().WriteRawFrame(http2.FramePing, 0, 0, []byte(token)) },
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
