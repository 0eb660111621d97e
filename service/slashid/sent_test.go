package slashid_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

func TestNotSentWhenThePortIsClosed(t *testing.T) {
	t.Parallel()
	// The local port of an open connection: nothing listens there, and nothing
	// can begin to.
	server := startServer(t, nil)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	got := revoke(t, newClient(t, "http://"+conn.LocalAddr().String()), aRequest())

	checkNoAnswer(t, got, false)
}

// All requests that wait for a connection learn that there is none. Later ones have
// another made.
func TestNotSentWhenTheNameIsUnknown(t *testing.T) {
	t.Parallel()
	unknown := &net.DNSError{Err: "no such host", Name: "slashid.test", IsNotFound: true}
	client, p := newPeer(t, answering("http/1.1", "204", nil))
	var known atomic.Bool
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if known.Load() {
			return p.dial(ctx, network, addr)
		}
		return nil, unknown
	})
	for _, got := range revokeAll(t, client, 10) {
		checkNoAnswer(t, got, false)
		if !errors.Is(got.Err, unknown) {
			t.Errorf("got %v, want the cause", got.Err)
		}
	}
	known.Store(true)
	checkRevoked(t, revoke(t, client, aRequest()))
}

// A value that no header can hold stays here. The error does not quote it.
func TestNotSentWhenAHeaderIsImpossible(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, answering("http/1.1", "204", nil))
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret("the-api-key\nX-Injected: 1")

	got := revoke(t, client, req)

	checkNoAnswer(t, got, false)
	if strings.Contains(got.Err.Error(), "the-api-key") {
		t.Errorf("the error quotes the key: %v", got.Err)
	}
	peer.checkConnections(t, 0)
}

func TestNotSentWhenTLSFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		start   func(*httptest.Server)
		rootCAs func() *x509.CertPool
		host    string
		isCause func(error) bool
	}{
		{"an unknown authority", startTLS, x509.NewCertPool, "slashid.test", is[x509.UnknownAuthorityError]},
		{"an unknown authority, HTTP/2", protocols["HTTP/2"], x509.NewCertPool, "slashid.test", is[x509.UnknownAuthorityError]},
		{"another name", startTLS, trusted, "other.test", func(err error) bool {
			return err.Error() == "x509: the certificate is for other names than other.test"
		}},
		{"an old version", func(server *httptest.Server) {
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
			server.StartTLS()
		}, trusted, "slashid.test", is[*net.OpError]},
		{"no TLS at all", (*httptest.Server).Start, trusted, "slashid.test", is[tls.RecordHeaderError]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Bool
			server := startServerAs(t, func(http.ResponseWriter, *http.Request) { served.Store(true) }, tt.start)
			client := newClientWith(t, "https://"+tt.host, slashid.Config{RootCAs: tt.rootCAs})
			client.DialThrough(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
			})

			got := revoke(t, client, aRequest())

			checkNoAnswer(t, got, false)
			if !tt.isCause(got.Err) {
				t.Errorf("not the cause: %v", got.Err)
			}
			if served.Load() {
				t.Error("the server got the request")
			}
		})
	}
}

// is reports whether err is an E.
func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

// ends are the ways in which a context can end. It may have a cause, as the service's
// contexts have.
var ends = map[error]func(context.Context, time.Duration) (context.Context, context.CancelFunc){
	context.DeadlineExceeded: func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, after, errors.New("some cause"))
	},
	context.Canceled: func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		if after <= 0 {
			cancel()
		} else {
			time.AfterFunc(after, cancel)
		}
		return ctx, cancel
	},
}

// A call ends with its context, and says whether the token was sent by then.
func TestContextEnds(t *testing.T) {
	type call struct {
		script func(*peerConn)
		reused bool // the connection
		hangs  bool // the dial
		after  time.Duration
		sent   bool
		end    error
	}
	over := func(protocol string, script func(*peerConn)) func(*peerConn) {
		return overTLS(certificate(), protocol, script)
	}
	silent := over("h2", overHTTP2(func(c *http2Conn) { c.readRequest(); c.waitForClose() }))
	answer := func(text string) func(*peerConn) {
		return over("http/1.1", func(c *peerConn) {
			c.readRequest()
			c.answer(text)
			c.waitForClose()
		})
	}
	cases := map[string]call{}
	for end := range ends {
		for name, tt := range map[string]call{
			"it has ended":                   {script: silent},
			"it has ended, with an idle one": {script: over("http/1.1", answering("http/1.1", "204", nil)), reused: true},
			"it has ended, with HTTP/2":      {script: over("h2", answering("h2", "204", nil)), reused: true},
			"while dialing":                  {script: silent, after: time.Second, hangs: true},
			"while shaking hands":            {script: (*peerConn).waitForClose, after: time.Second},
			"nothing is answered":            {script: answer(""), after: time.Minute, sent: true},
			"nothing is answered, HTTP/2":    {script: silent, after: 20 * time.Second, sent: true},
			"an informational answer":        {script: answer("HTTP/1.1 103 Early Hints\n\n"), after: time.Minute, sent: true},
			"half of an answer's head":       {script: answer("HTTP/1.1 204 No Content\nDate: "), after: time.Minute, sent: true},
		} {
			tt.end = end
			cases[name+", "+end.Error()] = tt
		}
	}
	inBubbles(t, cases, func(t *testing.T, tt call) {
		client := newClient(t, "https://slashid.test")
		peer := connectPeer(t, client, tt.script)
		if tt.hangs {
			client.DialThrough(func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(time.Hour)
				return nil, syscall.ETIMEDOUT
			})
		}
		if tt.reused {
			checkRevoked(t, revoke(t, client, aRequest()))
		}
		made := peer.connections()
		ctx, cancel := ends[tt.end](t.Context(), tt.after)
		defer cancel()
		req, sent := aRequest(), false
		req.BeforeSend = func() bool { sent = true; return true }
		start := time.Now()

		got := client.Revoke(ctx, req)

		checkNoAnswer(t, got, tt.sent)
		if !errors.Is(got.Err, tt.end) || time.Since(start) != tt.after {
			t.Errorf("got %v after %v, want %v after %v", got.Err, time.Since(start), tt.end, tt.after)
		}
		if tt.after == 0 {
			peer.checkConnections(t, made)
		}
		time.Sleep(2 * time.Hour) // until a dial has ended
		if sent != tt.sent {
			t.Errorf("the token was sent: %t", sent)
		}
	})
}

// A handshake has a limit of its own, so that the caller's time is left for
// another attempt.
func TestNotSentWhenTheHandshakeStalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://slashid.test")
		connectPeer(t, client, (*peerConn).waitForClose)
		start := time.Now()

		got := revoke(t, client, aRequest())

		checkNoAnswer(t, got, false)
		if want := "net/http: TLS handshake timeout"; got.Err.Error() != want {
			t.Errorf("the cause is %q, want %q", got.Err, want)
		}
		if elapsed := time.Since(start); elapsed != slashid.DialTimeout {
			t.Errorf("it took %v", elapsed)
		}
	})
}

// On a connection that was made for the request, nothing is sent twice.
func TestSentWhenTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*peerConn){
		"reset at the first byte": func(c *peerConn) {
			_, _ = c.reader.Peek(1)
			c.reset()
		},
		"reset after the whole request": func(c *peerConn) {
			c.readRequest()
			c.reset()
		},
		"closed after the whole request": func(c *peerConn) {
			c.readRequest()
		},
		"closed within the answer's head": func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 204 No")
		},
		"closed before the answer's head ends": func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 204 No Content\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n")
		},
		"closed after an informational answer": func(c *peerConn) {
			c.readRequest()
			c.answer("HTTP/1.1 103 Early Hints\n\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkNoAnswer(t, revoke(t, startPeer(t, script), aRequest()), true)
		})
	}
}

// A connection that is reset as soon as it is made: whether the request was
// written by then is a race, and either is the truth.
func TestSentOrNotWhenTheConnectionIsResetAtOnce(t *testing.T) {
	t.Parallel()
	client := startPeer(t, func(c *peerConn) { c.reset() })
	for range 20 {
		got := revoke(t, client, aRequest())
		checkNoAnswer(t, got, got.Sent)
	}
}

// A connection that is lost within the body loses nothing of the status.
func TestAnAnswerStandsWhenItsBodyIsLost(t *testing.T) {
	t.Parallel()
	client := startPeer(t, func(c *peerConn) {
		c.readRequest()
		c.answer("HTTP/1.1 400 Bad Request\nContent-Length: 1000\n\n{")
		c.reset()
	})
	want := slashid.Result{Status: http.StatusBadRequest, Sent: true}
	if got := revoke(t, client, aRequest()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Servers close connections that are idle for long. One that the client has seen
// closed is not used.
func TestIdleConnectionThatIsClosed(t *testing.T) {
	once := map[string]func(*peerConn){
		"http/1.1": func(c *peerConn) { c.readRequest(); c.answer(revoked) },
		"h2":       overHTTP2(func(c *http2Conn) { stream, _ := c.readRequest(); c.answer(stream, "204") }),
	}
	overBoth(t, map[string]bool{"": true}, func(t *testing.T, protocol string, _ bool) {
		client, peer := newTLSPeer(t, protocol, once[protocol])
		for range 3 {
			checkRevoked(t, revoke(t, client, aRequest()))
			synctest.Wait()
		}
		peer.checkConnections(t, 3)
	})
}

// A connection that is closed by the next request, instead of an answer, is a
// connection that was idle for too long. The request is sent again, on others, but not
// for ever. Of the first time nothing is known.
func TestIdleConnectionThatIsClosedByTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*peerConn){
		"closed": func(c *peerConn) { _ = c.Close() },
		"reset":  (*peerConn).reset,
		// Once an answer has begun, nothing is sent again.
		"closed within its answer": func(c *peerConn) { c.answer("HTTP/1.1 ") },
	} {
		for idle := 1; idle <= slashid.MaxSends+1; idle++ {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				first := make(chan struct{})
				var waiting sync.WaitGroup
				waiting.Add(idle)
				client := startPeer(t, func(c *peerConn) {
					if c.number > idle {
						c.readRequest()
						requests.Add(1)
						c.answer(revoked)
						return
					}
					c.readRequest()
					waiting.Done()
					<-first // so that each of the first requests has a connection
					c.answer(revoked)
					if c.readRequest() != nil {
						requests.Add(1)
						end(c)
					}
				})
				go func() {
					waiting.Wait()
					close(first)
				}()
				for _, got := range revokeAll(t, client, idle) {
					checkRevoked(t, got)
				}

				got := revoke(t, client, aRequest())

				want, wantRequests := slashid.Result{Status: http.StatusNoContent, Sent: true, Resent: true}, idle+1
				switch {
				case name == "closed within its answer":
					want, wantRequests = slashid.Result{Sent: true, Err: got.Err}, 1
				case idle >= slashid.MaxSends:
					want, wantRequests = slashid.Result{Sent: true, Resent: true, Err: got.Err}, slashid.MaxSends
					if got.Err == nil || !strings.Contains(got.Err.Error(), "three times") {
						t.Errorf("the cause is %v", got.Err)
					}
				}
				if got != want || int(requests.Load()) != wantRequests {
					t.Errorf("%d idle connections: got %+v after %d requests, want %+v after %d", idle, got, requests.Load(), want, wantRequests)
				}
			})
		}
	}
}

// severable is a connection that can die without a sign, so that nothing can be
// written to it any more.
type severable struct {
	net.Conn
	severed *atomic.Bool
}

func (c severable) Write(p []byte) (int, error) {
	if c.severed.Load() {
		return 0, errors.New("the connection is severed")
	}
	return c.Conn.Write(p)
}

// An idle connection that takes nothing of a request, because it died meanwhile, makes
// way for another one.
func TestIdleConnectionThatTakesNothing(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, answering("http/1.1", "204", nil))
	var severed atomic.Bool
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := peer.dial(ctx, network, addr)
		if severed.Load() {
			return conn, err
		}
		return severable{conn, &severed}, err
	})
	checkRevoked(t, revoke(t, client, aRequest()))
	severed.Store(true)
	checkRevoked(t, revoke(t, client, aRequest()))
}

// What HTTP/2 says of a stream that ends without an answer decides whether the
// request is sent again: if the peer declares that it has not processed it.
func TestSentOverHTTP2(t *testing.T) {
	type stream struct {
		// end is what becomes of the first requests; later ones are answered by 204.
		end func(c *http2Conn, stream uint32)
		// times is how many they are.
		times        int
		want         slashid.Result
		wantRequests int
	}
	anError := errors.New("some error")
	lost := slashid.Result{Sent: true, Err: anError}
	once := slashid.Result{Status: http.StatusNoContent, Sent: true}
	resent := slashid.Result{Status: http.StatusNoContent, Sent: true, Resent: true}
	tooOften := slashid.Result{Sent: true, Resent: true, Err: anError}
	reset := func(code http2.ErrCode) func(*http2Conn, uint32) {
		return func(c *http2Conn, stream uint32) { _ = c.aside().WriteRSTStream(stream, code) }
	}
	goAway := func(c *http2Conn, last uint32, code http2.ErrCode) { _ = c.aside().WriteGoAway(last, code, nil) }
	disown := func(c *http2Conn, stream uint32) { goAway(c, stream-1, http2.ErrCodeNo) }
	inBubbles(t, map[string]stream{
		"refused":                             {reset(http2.ErrCodeRefusedStream), 1, resent, 2},
		"refused twice":                       {reset(http2.ErrCodeRefusedStream), 2, resent, 3},
		"refused always":                      {reset(http2.ErrCodeRefusedStream), 100, tooOften, slashid.MaxSends},
		"the connection goes away without it": {disown, 1, resent, 2},
		"the connection goes away without it, twice":  {disown, 2, resent, 3},
		"the connection goes away without it, always": {disown, 100, tooOften, slashid.MaxSends},
		"a protocol error":                            {reset(http2.ErrCodeProtocol), 1, resent, 2},
		"a protocol error, always":                    {reset(http2.ErrCodeProtocol), 100, tooOften, slashid.MaxSends},
		"an informational answer, then refused": {func(c *http2Conn, stream uint32) {
			c.head(stream, false, ":status", "103")
			reset(http2.ErrCodeRefusedStream)(c, stream)
		}, 1, resent, 2},

		"the stream fails":            {reset(http2.ErrCodeInternal), 1, lost, 1},
		"the stream is cancelled":     {reset(http2.ErrCodeCancel), 1, lost, 1},
		"the peer has too much to do": {reset(http2.ErrCodeEnhanceYourCalm), 1, lost, 1},
		"the connection closes":       {func(c *http2Conn, _ uint32) { _ = c.Close() }, 1, lost, 1},
		"the connection fails after it": {func(c *http2Conn, stream uint32) {
			goAway(c, stream, http2.ErrCodeInternal)
			_ = c.Close()
		}, 1, lost, 1},
		"the connection goes away after it, and closes": {func(c *http2Conn, stream uint32) {
			goAway(c, stream, http2.ErrCodeNo)
			_ = c.Close()
		}, 1, lost, 1},
		"the connection goes away after it, and answers": {func(c *http2Conn, stream uint32) {
			goAway(c, 1<<31-1, http2.ErrCodeNo)
			goAway(c, stream, http2.ErrCodeNo)
			c.answer(stream, "204")
		}, 1, once, 1},
	}, func(t *testing.T, tt stream) {
		requests := 0
		client, peer := newHTTP2Peer(t, func(c *http2Conn) {
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				if requests++; requests <= tt.times {
					tt.end(c, stream)
				} else {
					c.answer(stream, "204")
				}
			}
		})

		got := revoke(t, client, aRequest())

		synctest.Wait()
		if (got.Err != nil) != (tt.want.Err != nil) {
			t.Errorf("the cause is %v, want %v", got.Err, tt.want.Err)
		}
		if got.Err = tt.want.Err; got != tt.want || requests != tt.wantRequests {
			t.Errorf("got %+v after %d requests, want %+v after %d", got, requests, tt.want, tt.wantRequests)
		}
		// Whatever it was, it was for that request. What has failed too often is left.
		requests = tt.times
		made := peer.connections()
		checkRevoked(t, revoke(t, client, aRequest()))
		if tt.want == tooOften {
			peer.checkConnections(t, made+1)
		}
	})
}

// A peer can answer before the token is on its way. Then the token stays here, and the
// result says so.
func TestAnswerBeforeTheTokenIsSent(t *testing.T) {
	t.Parallel()
	client, peer := newHTTP2Peer(t, func(c *http2Conn) {
		stream, _ := c.readRequest()
		c.answer(stream, "204")
		for frame, err := c.ReadFrame(); err == nil; frame, err = c.ReadFrame() {
			switch frame.(type) {
			case *http2.HeadersFrame:
				c.answer(frame.Header().StreamID, "204")
			case *http2.DataFrame:
				t.Error("the token was sent")
			}
		}
	})
	slow := make(chan *slowConn, 1)
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := peer.dial(ctx, network, addr)
		c := &slowConn{Conn: conn}
		slow <- c
		return c, err
	})
	checkRevoked(t, revoke(t, client, aRequest()))
	answered := make(chan struct{})
	(<-slow).until.Store(&answered)
	if got, want := revoke(t, client, aRequest()), (slashid.Result{Status: http.StatusNoContent}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	close(answered)
}

// slowConn is a connection whose Write can take until a channel is closed.
type slowConn struct {
	net.Conn

	until atomic.Pointer[chan struct{}]
}

// Write implements net.Conn.
func (c *slowConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if until := c.until.Load(); until != nil {
		<-*until
	}
	return n, err
}

// A peer that is silent is asked for a sign of life. One that gives it has all the time
// that the context allows.
func TestSentToASilentPeer(t *testing.T) {
	inBubbles(t, map[string]bool{"dead": false, "alive": true}, func(t *testing.T, alive bool) {
		const late = 2 * time.Minute
		client, _ := newHTTP2Peer(t, func(c *http2Conn) {
			stream, _ := c.readRequest()
			if alive {
				time.AfterFunc(late, func() { c.answer(stream, "204") })
				c.readRequest() // answers pings
			}
			c.waitForClose()
		})
		begun := time.Now()
		got := client.Revoke(t.Context(), aRequest())
		want := late
		if alive {
			checkRevoked(t, got)
		} else {
			checkNoAnswer(t, got, true)
			want = slashid.PingAfter + slashid.PingTimeout
			if got.Err.Error() != "http2: client connection lost" {
				t.Errorf("the cause is %v", got.Err)
			}
		}
		if took := time.Since(begun); took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}
