package slashid_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

const (
	// envelope is SlashID's body of every answer but 204.
	envelope = `{"meta": {"pagination": {"limit": 0, "offset": 0, "total_count": 0}},` +
		` "errors": [{"httpcode": 408, "message": "some text"}]}`
	// page is what the proxies between answer with.
	page = "<html><body><h1>Something went wrong</h1></body></html>"
)

// Every status is reported as it is, whatever the body, and whether that is SlashID's.
func TestRevokeReportsTheStatus(t *testing.T) {
	t.Parallel()
	for protocol, start := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var status atomic.Int32
			var body atomic.Value
			server := startServerAs(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(int(status.Load()))
				_, _ = io.WriteString(w, body.Load().(string))
			}, start)
			client := newClient(t, server.URL)
			check := func(code int, text string) {
				status.Store(int32(code))
				body.Store(text)
				bodyless := code == http.StatusNoContent || code == http.StatusNotModified
				want := slashid.Result{Status: code, Envelope: text == envelope && !bodyless, Sent: true}
				if got := revoke(t, client, aRequest()); got != want {
					t.Errorf("%.20q: got %+v, want %+v", text, got, want)
				}
			}
			for code := 200; code < 600; code++ {
				check(code, "")
			}
			for _, code := range []int{200, 204, 304, 400, 401, 403, 404, 408, 429, 500, 503, 999} {
				check(code, envelope)
				check(code, page)
			}
		})
	}
}

// A redirect would carry the token to a host that no operator chose.
func TestRevokeFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := startServer(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/token/revoke")
			w.WriteHeader(status)
		})
		want := slashid.Result{Status: status, Sent: true}
		if got := revoke(t, newClient(t, server.URL), aRequest()); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestRevokeReadsHeaders(t *testing.T) {
	t.Parallel()
	const uuid = "0b5dc2a4-5a0e-4b2a-93c5-6c1d7d8e2f10"
	for _, tt := range []struct {
		name   string
		header http.Header
		want   slashid.Result
	}{
		{"no headers", nil, slashid.Result{}},
		{"seconds", http.Header{"Retry-After": {"7"}}, slashid.Result{RetryAfter: 7 * time.Second}},
		{"seconds between spaces", http.Header{"Retry-After": {" 7 "}}, slashid.Result{RetryAfter: 7 * time.Second}},
		{"no seconds at all", http.Header{"Retry-After": {"0"}}, slashid.Result{RetryAfter: time.Second}},
		{"a date long ago", http.Header{"Retry-After": {"Sun, 06 Nov 1994 08:49:37 GMT"}}, slashid.Result{RetryAfter: time.Second}},
		{"a date far ahead", http.Header{"Retry-After": {"Fri, 06 Nov 2893 08:49:37 GMT"}}, slashid.Result{RetryAfter: slashid.MaxRetryAfter}},
		{"neither", http.Header{"Retry-After": {"soon"}}, slashid.Result{}},
		{"the largest of several", http.Header{"Retry-After": {"3", "soon", "9", "4"}}, slashid.Result{RetryAfter: 9 * time.Second}},
		{"an id", http.Header{slashid.HeaderCorrelationID: {uuid}}, slashid.Result{CorrelationID: uuid}},
		{"the token as an id", http.Header{slashid.HeaderCorrelationID: {token}}, slashid.Result{}},
		{"the token's claims in an id", http.Header{slashid.HeaderCorrelationID: {"id-" + tokenClaims}}, slashid.Result{}},
		{"the key in an id", http.Header{slashid.HeaderCorrelationID: {"id-an-api-key-of-the-organisation"}}, slashid.Result{}},
		{"an access token as an id", http.Header{slashid.HeaderCorrelationID: {"an-opaque-access-token"}}, slashid.Result{}},
	} {
		for _, status := range []int{204, 429, 503} {
			server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), tt.header)
				w.WriteHeader(status)
			})
			req := aRequest()
			req.Credentials.APIKey = slashid.NewSecret("an-api-key-of-the-organisation")
			req.Credentials.Authorization = slashid.NewSecret("Bearer an-opaque-access-token")
			want := tt.want
			want.Status, want.Sent = status, true
			if got := revoke(t, newClient(t, server.URL), req); got != want {
				t.Errorf("%s: got %+v, want %+v", tt.name, got, want)
			}
		}
	}
}

// Connections are expensive: the body of any answer is read to the end so that the next
// call finds the connection idle.
func TestRevokeReusesTheConnection(t *testing.T) {
	t.Parallel()
	answers := []struct {
		status int
		body   string
	}{
		{204, ""},
		{400, envelope},
		{401, strings.Repeat("x", slashid.MaxBody-1)},
		{408, page},
		{429, ""},
		{503, strings.Repeat(page, 100)},
		{200, page},
		{307, ""},
	}
	for protocol, start := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			var made *atomic.Int32
			server := startServerAs(t, func(w http.ResponseWriter, _ *http.Request) {
				answer := answers[int(requests.Add(1)-1)%len(answers)]
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
			}, func(server *httptest.Server) {
				made = countConnections(server)
				start(server)
			})
			client := newClient(t, server.URL)
			for range 2 * len(answers) {
				want := answers[int(requests.Load())%len(answers)].status
				if got := revoke(t, client, aRequest()); got.Status != want {
					t.Fatalf("got %+v, want status %d", got, want)
				}
			}
			if n := made.Load(); n != 1 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

func TestRevokeConcurrently(t *testing.T) {
	t.Parallel()
	for protocol, start := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			server := startServerAs(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(slashid.HeaderCorrelationID, r.Header.Get(slashid.HeaderSDKVersion))
				w.WriteHeader(http.StatusNoContent)
			}, start)
			client := newClient(t, server.URL)
			var calls sync.WaitGroup
			for i := range 40 {
				calls.Go(func() {
					req := aRequest()
					req.SDKVersion = fmt.Sprintf("1.0.%d", i)
					want := slashid.Result{Status: http.StatusNoContent, Sent: true, CorrelationID: req.SDKVersion}
					if got := client.Revoke(t.Context(), req); got != want {
						t.Errorf("got %+v, want %+v", got, want)
					}
				})
			}
			calls.Wait()
		})
	}
}

// Requests that begin at once all get a connection, and over HTTP/2 they share some.
func TestRevokeInABurst(t *testing.T) {
	t.Parallel()
	for protocol, tt := range map[string]struct{ requests, most int }{
		"HTTP/1.1":          {200, 200},
		"HTTP/1.1 over TLS": {50, 50},
		"HTTP/2":            {2000, 200},
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var arrived sync.WaitGroup
			arrived.Add(tt.requests)
			var made *atomic.Int32
			server := startServerAs(t, func(w http.ResponseWriter, _ *http.Request) {
				arrived.Done()
				arrived.Wait()
				w.WriteHeader(http.StatusNoContent)
			}, func(server *httptest.Server) {
				server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
				made = countConnections(server)
				protocols[protocol](server)
			})
			for _, got := range revokeAll(t, newClient(t, server.URL), tt.requests) {
				checkRevoked(t, got)
			}
			t.Logf("%d connections for %d requests", made.Load(), tt.requests)
			if n := int(made.Load()); n > tt.most {
				t.Errorf("%d connections were made for %d requests", n, tt.requests)
			}
		})
	}
}

// A body is waited for, but not for ever. Without its end, what has come of it counts.
func TestRevokeWaitsForTheBody(t *testing.T) {
	type body struct {
		answer  []string // with 2 s between
		closes  bool
		want    bool // an envelope
		elapsed time.Duration
	}
	half := len(envelope) / 2
	head := fmt.Sprintf("HTTP/1.1 408 Request Timeout\nContent-Length: %d\n\n", len(envelope))
	inBubbles(t, map[string]body{
		"it comes slowly":                 {[]string{head, envelope[:half], envelope[half:]}, false, true, 4 * time.Second},
		"it is whole, but is not ended":   {[]string{"HTTP/1.1 408 Request Timeout\n\n" + envelope}, false, true, slashid.BodyPatience},
		"it is whole, but more is due":    {[]string{"HTTP/1.1 408 Request Timeout\nContent-Length: 1000\n\n" + envelope}, false, true, slashid.BodyPatience},
		"a chunk of it comes":             {[]string{"HTTP/1.1 408 Request Timeout\nTransfer-Encoding: chunked\n\n2\n{}\n"}, false, false, slashid.BodyPatience},
		"half of it comes":                {[]string{head + envelope[:half]}, false, false, slashid.BodyPatience},
		"nothing of it comes":             {[]string{head}, false, false, slashid.BodyPatience},
		"half of it comes, and the close": {[]string{head + envelope[:half]}, true, false, 0},
	}, func(t *testing.T, tt body) {
		client, _ := newPeer(t, func(c *peerConn) {
			c.readRequest()
			for i, text := range tt.answer {
				time.Sleep(time.Duration(min(i, 1)) * 2 * time.Second)
				c.answer(text)
			}
			if !tt.closes {
				c.waitForClose()
			}
		})
		start := time.Now()
		want := slashid.Result{Status: http.StatusRequestTimeout, Envelope: tt.want, Sent: true}
		if got := revoke(t, client, aRequest()); got != want || time.Since(start) != tt.elapsed {
			t.Errorf("got %+v after %v, want %+v after %v", got, time.Since(start), want, tt.elapsed)
		}
	})
}

// An endless body costs what is read of it and, over HTTP/1.1, its connection.
func TestRevokeLeavesAnEndlessBody(t *testing.T) {
	piece := strings.Repeat("{", 0x400)
	taken := map[string]*atomic.Int64{"http/1.1": {}, "h2": {}}
	scripts := map[string]func(*peerConn){
		"http/1.1": func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 400 Bad Request\nTransfer-Encoding: chunked\n\n")
			for c.answer("400\n" + piece + "\n") {
				taken["http/1.1"].Add(0x400)
			}
		},
		"h2": overHTTP2(func(c *http2Conn) {
			stream, _ := c.readRequest()
			c.head(stream, false, ":status", "400")
			for range int(c.window) / len(piece) { // all that the client takes before it has read something
				_ = c.aside().WriteData(stream, false, []byte(piece))
				taken["h2"].Add(0x400)
			}
			stream, _ = c.readRequest()
			c.answer(stream, "204")
			c.waitForClose()
		}),
	}
	overBoth(t, map[string]bool{"": true}, func(t *testing.T, protocol string, _ bool) {
		client, peer := newTLSPeer(t, protocol, scripted(protocol, scripts[protocol]))
		start := time.Now()
		want := slashid.Result{Status: http.StatusBadRequest, Sent: true}
		if got := revoke(t, client, aRequest()); got != want || time.Since(start) > 0 {
			t.Errorf("got %+v after %v, want %+v", got, time.Since(start), want)
		}
		synctest.Wait()
		if n := taken[protocol].Load(); n > 3*slashid.MaxBody {
			t.Errorf("%d bytes were taken", n)
		}
		checkRevoked(t, revoke(t, client, aRequest()))
		peer.checkConnections(t, map[string]int{"http/1.1": 2, "h2": 1}[protocol])
	})
}

// informing is a script that sends hint, an informational answer, n times before 204.
func informing(protocol, hint string, n int, taken *atomic.Int64) func(*peerConn) {
	if protocol == "h2" {
		return overHTTP2(func(c *http2Conn) {
			stream, _ := c.readRequest()
			var reading sync.WaitGroup
			var closed atomic.Bool
			reading.Go(func() { c.readRequest(); closed.Store(true) })
			for i := 0; i < n && c.resets.Load() == 0 && !closed.Load(); i++ {
				c.head(stream, false, ":status", "103", "link", hint)
				taken.Add(int64(len(hint)))
				if i%10 == 0 {
					time.Sleep(time.Millisecond) // until the client has read them
				}
			}
			c.answer(stream, "204")
			reading.Wait()
		})
	}
	return func(c *peerConn) {
		c.readRequest()
		for i := 0; i < n && c.answer("HTTP/1.1 103 Early Hints\nLink: "+hint+"\n\n"); i++ {
			taken.Add(int64(len(hint)))
		}
		c.answer(revoked)
		c.readRequest()
	}
}

// Informational answers precede the one that counts, in any number, as long as they all
// have the size of one header.
func TestRevokeSkipsInformationalAnswers(t *testing.T) {
	type hints struct {
		hint    string
		n       int
		revoked bool
	}
	overBoth(t, map[string]hints{
		"some":                {"</style.css>", 3, true},
		"many":                {"</style.css>", 50, true},
		"many large ones":     {strings.Repeat("x", 1000), 50, true},
		"too many":            {strings.Repeat("x", 1000), 1 << 30, false},
		"too many small ones": {"x", 1 << 30, false},
		"one that is endless": {strings.Repeat("x", 2*slashid.MaxBody), 1, false},
	}, func(t *testing.T, protocol string, tt hints) {
		var taken atomic.Int64
		client, _ := newTLSPeer(t, protocol, informing(protocol, tt.hint, tt.n, &taken))

		got := revoke(t, client, aRequest())

		if tt.revoked {
			checkRevoked(t, got)
		} else {
			checkNoAnswer(t, got, true)
		}
		if taken.Load() > 4*slashid.MaxBody {
			t.Errorf("%d bytes were taken", taken.Load())
		}
	})
}

// 204 allows no body; over HTTP/1.1 one that comes spoils only its connection.
func TestRevokeTakes204WithABody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"announced":   "HTTP/1.1 204 No Content\nContent-Length: 2\nConnection: close\n\n{}",
		"unannounced": "HTTP/1.1 204 No Content\nConnection: close\n\n{}",
		"chunked":     "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\nConnection: close\n\n2\n{}\n0\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, peer := newPeer(t, func(c *peerConn) {
				c.readRequest()
				c.answer(answer)
				c.waitForClose()
			})
			for range 2 {
				checkRevoked(t, revoke(t, client, aRequest()))
			}
			peer.checkConnections(t, 2)
		})
	}
}

// After a 101 the body is the bare connection, which no context ends.
func TestRevokeDoesNotSwitchProtocols(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := newPeer(t, func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n")
			time.Sleep(time.Hour)
		})
		begun := time.Now()
		want := slashid.Result{Status: http.StatusSwitchingProtocols, Sent: true}
		if got := revoke(t, client, aRequest()); got != want || time.Since(begun) > 0 {
			t.Errorf("after %s: got %+v, want %+v", time.Since(begun), got, want)
		}
	})
}

// What comes after an answer is not the answer to the next request.
func TestRevokeTakesNoAnswerThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, func(c *peerConn) {
			if c.number > 1 {
				answering("http/1.1", "503", nil)(c)
				return
			}
			c.readRequest()
			c.answer(revoked + revoked)
			c.waitForClose()
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		synctest.Wait()
		if got := revoke(t, client, aRequest()); got.Status != http.StatusServiceUnavailable {
			t.Errorf("got %+v, want status 503", got)
		}
		peer.checkConnections(t, 2)
	})
}
