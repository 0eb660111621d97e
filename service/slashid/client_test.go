package slashid

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The result has the status of the response, and says whether it comes from SlashID. No
// redirect is followed, because it would send the token to a host that the operator did not
// configure. All requests share one connection, whatever the body of a response.
func TestRevokeReportsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, protocol := range append(protocols, "") {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			status, body, remotes := 0, "", map[string]bool{}
			server := startServer(t, protocol, func(w http.ResponseWriter, r *http.Request) {
				remotes[r.RemoteAddr] = true
				if r.URL.Path != "/token/revoke" {
					t.Errorf("a redirect to %s was followed", r.URL)
				}
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Retry-After", "7")
				w.Header().Set(HeaderCorrelationID, "0b5dc2a4-5a0e-4b2a-93c5-6c1d7d8e2f10")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			client, begun := newClient(t, server.URL), time.Now()
			for _, status = range []int{200, 204, 206, 300, 304, 307, 400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 599, 999} {
				for _, body = range []string{"", envelope, page, strings.Repeat("x", maxBody-1)} {
					want := Result{
						Status: status, Envelope: body == envelope && status != http.StatusNoContent && status != http.StatusNotModified,
						Sent: true, RetryAfter: 7 * time.Second, CorrelationID: "0b5dc2a4-5a0e-4b2a-93c5-6c1d7d8e2f10",
					}
					if got := revoke(t, client, aRequest()); got != want {
						t.Errorf("%.20q: got %+v, want %+v", body, got, want)
					}
				}
			}
			if len(remotes) != 1 && time.Since(begun) < doubtAfter { // which a busy machine may exceed
				t.Errorf("%d connections were made", len(remotes))
			}
		})
	}
}

// The client waits for a body, up to a limit. After the limit the part that arrived counts.
func TestRevokeWaitsForTheBody(t *testing.T) {
	type body struct {
		answer  []string // with 2 s between
		closes  bool
		want    bool // whether it is an envelope
		elapsed time.Duration
	}
	half := len(envelope) / 2
	head := fmt.Sprintf("HTTP/1.1 408 Request Timeout\nContent-Length: %d\n\n", len(envelope))
	inBubbles(t, map[string]body{
		"it comes slowly":                 {[]string{head, envelope[:half], envelope[half:]}, false, true, 4 * time.Second},
		"it is whole, but is not ended":   {[]string{"HTTP/1.1 408 Request Timeout\n\n" + envelope}, false, true, bodyTimeout},
		"half of it comes":                {[]string{head + envelope[:half]}, false, false, bodyTimeout},
		"half of it comes, and the close": {[]string{head + envelope[:half]}, true, false, 0},
	}, func(t *testing.T, tt body) {
		client, _ := newPeer(t, "http/1.1", func(c *peerConn) {
			c.readRequest()
			for i, text := range tt.answer {
				time.Sleep(time.Duration(min(i, 1)) * 2 * time.Second)
				c.write(text)
			}
			if !tt.closes {
				c.waitForClose()
			}
		})
		start := time.Now()
		want := Result{Status: http.StatusRequestTimeout, Envelope: tt.want, Sent: true}
		if got := revoke(t, client, aRequest()); got != want || time.Since(start) != tt.elapsed {
			t.Errorf("got %+v after %v, want %+v after %v", got, time.Since(start), want, tt.elapsed)
		}
	})
}

// Of an endless body only maxBody is read. Over HTTP/1.1 its connection is closed.
func TestRevokeLeavesAnEndlessBody(t *testing.T) {
	overEach(t, func(t *testing.T, protocol string) {
		piece, taken := strings.Repeat("{", 0x400), 0
		client, peer := newPeer(t, protocol, firstOnly(func(c *peerConn) {
			for stream := range c.requests() {
				switch {
				case c.framer == nil:
					c.write("HTTP/1.1 400 Bad Request\nTransfer-Encoding: chunked\n\n")
					for c.write("400\n" + piece + "\n") {
						taken += len(piece)
					}
				case taken > 0:
					c.answer(stream, http.StatusNoContent)
				default:
					c.head(stream, false, ":status", "400")
					for ; taken < c.window; taken += len(piece) { // all that the client accepts before it reads
						_ = c.frames().WriteData(stream, false, []byte(piece))
					}
				}
			}
		}))
		start := time.Now()
		want := Result{Status: http.StatusBadRequest, Sent: true}
		if got := revoke(t, client, aRequest()); got != want || time.Since(start) > 0 {
			t.Errorf("got %+v after %v, want %+v", got, time.Since(start), want)
		}
		synctest.Wait()
		if taken > 3*maxBody {
			t.Errorf("%d bytes were taken", taken)
		}
		checkRevoked(t, revoke(t, client, aRequest()))
		peer.checkConnections(t, map[string]int{"http/1.1": 2, "h2": 1}[protocol])
	})
}

// A response with a header above the limit is an error.
func TestRevokeLeavesAnEndlessHead(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://slashid.test")
	connectPeer(t, client, func(c *peerConn) {
		c.readRequest()
		c.write("HTTP/1.1 204 No Content\nX: " + strings.Repeat("x", 2*maxBody) + "\n\n")
	})
	checkNoAnswer(t, revoke(t, client, aRequest()), true)
}
