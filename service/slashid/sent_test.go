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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

const revoked = "HTTP/1.1 204 No Content\n\n"

// checkNoAnswer checks the result of an attempt that got no answer.
func checkNoAnswer(t *testing.T, got slashid.Result, kind slashid.Kind, sent bool) {
	t.Helper()
	if got.Kind != kind || got.Sent != sent || got.Err == nil || got.Status != 0 {
		t.Errorf("got %+v, want %v with an error, sent %t", got, kind, sent)
	}
}

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

	got := revoke(t, newClient(t, "http://"+conn.LocalAddr().String(), nil), aRequest())

	checkNoAnswer(t, got, slashid.NotConnected, false)
}

func TestNotSentWhenTheNameIsUnknown(t *testing.T) {
	t.Parallel()
	unknown := &net.DNSError{Err: "no such host", Name: "slashid.test", IsNotFound: true}
	client := newClient(t, "http://slashid.test", nil)
	client.DialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, unknown })

	got := revoke(t, client, aRequest())

	checkNoAnswer(t, got, slashid.NotConnected, false)
	if !errors.Is(got.Err, unknown) {
		t.Errorf("got %v, want the cause", got.Err)
	}
}

// A value that no header can hold stays here. The error does not quote it.
func TestNotSentWhenAHeaderIsImpossible(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, func(c *peerConn) { c.answerEach(revoked) })
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret("the-api-key\nX-Injected: 1")

	got := revoke(t, client, req)

	checkNoAnswer(t, got, slashid.NotConnected, false)
	if strings.Contains(got.Err.Error(), "the-api-key") {
		t.Errorf("the error quotes the key: %v", got.Err)
	}
	if n := peer.connections(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestNotSentWhenTLSFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		start func(*httptest.Server)
		// host is the name that the client asks for; the certificate is for
		// example.com.
		host    string
		trusted bool
		isCause func(error) bool
	}{
		{
			name: "an unknown authority", start: startTLS, host: "example.com", trusted: false,
			isCause: is[x509.UnknownAuthorityError],
		},
		{
			name: "an unknown authority, HTTP/2", start: startHTTP2, host: "example.com", trusted: false,
			isCause: is[x509.UnknownAuthorityError],
		},
		{
			name: "another name", start: startTLS, host: "slashid.test", trusted: true,
			isCause: func(err error) bool {
				return err.Error() == "x509: the certificate is for other names than slashid.test"
			},
		},
		{
			name: "an old version", host: "example.com", trusted: true,
			start: func(server *httptest.Server) {
				server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
				server.StartTLS()
			},
			isCause: is[*net.OpError],
		},
		{
			name: "no TLS at all", host: "example.com", trusted: false,
			start:   (*httptest.Server).Start,
			isCause: func(err error) bool { return err != nil },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Bool
			server := startServerAs(t, func(http.ResponseWriter, *http.Request) { served.Store(true) }, tc.start)
			var rootCAs *x509.CertPool
			if tc.trusted {
				rootCAs = authorityOf(server)
			}
			client := newClient(t, "https://"+tc.host, rootCAs)
			client.DialThrough(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
			})

			got := revoke(t, client, aRequest())

			checkNoAnswer(t, got, slashid.NotConnected, false)
			if !tc.isCause(got.Err) {
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

func TestSentOverTLSWithAKnownAuthority(t *testing.T) {
	t.Parallel()
	for proto, start := range map[string]func(*httptest.Server){"HTTP/1.1": startTLS, "HTTP/2.0": startHTTP2} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			server := startServerAs(t, func(w http.ResponseWriter, r *http.Request) {
				got <- r.Proto
				w.WriteHeader(http.StatusNoContent)
			}, start)

			result := revoke(t, newClient(t, server.URL, authorityOf(server)), aRequest())

			if result.Kind != slashid.Revoked || !result.Sent {
				t.Fatalf("got %+v", result)
			}
			if got := <-got; got != proto {
				t.Errorf("got %s", got)
			}
		})
	}
}

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
			checkNoAnswer(t, revoke(t, startPeer(t, script), aRequest()), slashid.ConnectionLost, true)
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
		if got.Sent {
			checkNoAnswer(t, got, slashid.ConnectionLost, true)
		} else {
			checkNoAnswer(t, got, slashid.NotConnected, false)
		}
	}
}

// Where the status says all, a connection that is lost within the body loses
// nothing.
func TestAnAnswerStandsWhenItsBodyIsLost(t *testing.T) {
	t.Parallel()
	client := startPeer(t, func(c *peerConn) {
		c.readRequest()
		c.answer("HTTP/1.1 400 Bad Request\nContent-Length: 1000\n\n{")
		c.reset()
	})
	got := revoke(t, client, aRequest())
	if got.Kind != slashid.Unexpected || got.Status != http.StatusBadRequest || got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

// Servers close connections that are idle for long. One that the client has seen
// closed is not used.
func TestIdleConnectionClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, func(c *peerConn) {
			c.readRequest()
			c.answer(revoked)
		})
		for range 3 {
			if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
				t.Errorf("got %+v", got)
			}
			synctest.Wait()
		}
		if n := peer.connections(); n != 3 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// One that is closed while the request is on its way is another matter: the
// request may have been carried out, so it is not sent again behind the caller's
// back.
func TestIdleConnectionClosedByTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*peerConn){
		"closed":   func(c *peerConn) { _ = c.Close() },
		"reset":    (*peerConn).reset,
		"half way": func(c *peerConn) { c.answer("HTTP/1.1 ") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			client := startPeer(t, func(c *peerConn) {
				c.readRequest()
				requests.Add(1)
				c.answer(revoked)
				c.readRequest()
				requests.Add(1)
				end(c)
			})
			if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
				t.Fatalf("the first: %+v", got)
			}

			checkNoAnswer(t, revoke(t, client, aRequest()), slashid.ConnectionLost, true)

			if n := requests.Load(); n != 2 {
				t.Errorf("the peer got %d requests, want 2", n)
			}
		})
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

// An idle connection that takes nothing of a request, because it died meanwhile,
// leaves it unsent; a second attempt is the caller's to make.
func TestIdleConnectionThatTakesNothing(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, func(c *peerConn) { c.answerEach(revoked) })
	var severed atomic.Bool
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := peer.dial(ctx, network, addr)
		if severed.Load() {
			return conn, err
		}
		return severable{conn, &severed}, err
	})
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
		t.Fatalf("the first: %+v", got)
	}
	severed.Store(true)
	checkNoAnswer(t, revoke(t, client, aRequest()), slashid.NotConnected, false)
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
		t.Errorf("the third: %+v", got)
	}
}

func TestContextEndsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want  slashid.Kind
		ended func(context.Context) (context.Context, context.CancelFunc)
	}{
		{
			want: slashid.Cancelled,
			ended: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx, cancel
			},
		},
		{
			want: slashid.NoAnswer,
			ended: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 0)
			},
		},
	} {
		t.Run(tc.want.String(), func(t *testing.T) {
			t.Parallel()
			client, peer := newPeer(t, func(c *peerConn) { c.answerEach(revoked) })
			ctx, cancel := tc.ended(t.Context())
			defer cancel()

			checkNoAnswer(t, client.Revoke(ctx, aRequest()), tc.want, false)

			if n := peer.connections(); n != 0 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// The same on a connection that is there already.
func TestContextEndsBeforeAnythingIsSentOnAnIdleConnection(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	client := newClient(t, server.URL, nil)
	revoke(t, client, aRequest())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	checkNoAnswer(t, client.Revoke(ctx, aRequest()), slashid.Cancelled, false)

	if n := requests.Load(); n != 1 {
		t.Errorf("the server got %d requests, want 1", n)
	}
}

func TestContextEndsAfterTheRequestIsSent(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second
	for name, answer := range map[string]string{
		"nothing comes":                   "",
		"an informational answer comes":   "HTTP/1.1 103 Early Hints\n\n",
		"half of the answer's head comes": "HTTP/1.1 204 No Content\nDate: ",
	} {
		for _, tc := range []struct {
			end  func(context.Context) (context.Context, context.CancelFunc)
			want slashid.Kind
		}{
			{
				end: func(ctx context.Context) (context.Context, context.CancelFunc) {
					return context.WithTimeout(ctx, limit)
				},
				want: slashid.NoAnswer,
			},
			{
				end: func(ctx context.Context) (context.Context, context.CancelFunc) {
					ctx, cancel := context.WithCancel(ctx)
					time.AfterFunc(limit, cancel)
					return ctx, cancel
				},
				want: slashid.Cancelled,
			},
		} {
			t.Run(name+", "+tc.want.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, _ := newPeer(t, func(c *peerConn) {
						c.readRequest()
						c.answer(answer)
						c.waitForClose()
					})
					ctx, cancel := tc.end(t.Context())
					defer cancel()
					start := time.Now()

					checkNoAnswer(t, client.Revoke(ctx, aRequest()), tc.want, true)

					if elapsed := time.Since(start); elapsed != limit {
						t.Errorf("it took %v, want %v", elapsed, limit)
					}
				})
			})
		}
	}
}

func TestContextEndsAfterTheRequestIsSentOverHTTP2(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := startHTTP2Peer(t, func(c http2Conn) {
		c.readRequest()
		cancel()
		c.waitForClose()
	})
	checkNoAnswer(t, client.Revoke(ctx, aRequest()), slashid.Cancelled, true)
}

func TestContextEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second
	for name, newStalling := range map[string]func(*testing.T) *slashid.Client{
		"dialling": func(t *testing.T) *slashid.Client {
			t.Helper()
			client := newClient(t, "http://slashid.test", nil)
			client.DialThrough(func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done() // comes with Close, which gives up what nobody waits for
				return nil, ctx.Err()
			})
			return client
		},
		"shaking hands": func(t *testing.T) *slashid.Client {
			t.Helper()
			client, _ := newPeerAt(t, "https://slashid.test", (*peerConn).waitForClose)
			return client
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newStalling(t)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				start := time.Now()

				checkNoAnswer(t, client.Revoke(ctx, aRequest()), slashid.NoAnswer, false)

				if elapsed := time.Since(start); elapsed != limit {
					t.Errorf("it took %v, want %v", elapsed, limit)
				}
			})
		})
	}
}

// A handshake has a limit of its own, so that the caller's time is left for
// another attempt.
func TestHandshakeThatStallsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := newPeerAt(t, "https://slashid.test", (*peerConn).waitForClose)
		start := time.Now()

		checkNoAnswer(t, revoke(t, client, aRequest()), slashid.NotConnected, false)

		if elapsed := time.Since(start); elapsed != slashid.DialTimeout {
			t.Errorf("it took %v", elapsed)
		}
	})
}

// What HTTP/2 says of a stream that ends without an answer decides whether the
// request may have been carried out.
func TestSentOverHTTP2(t *testing.T) {
	t.Parallel()
	isLost := func(t *testing.T, got slashid.Result) {
		t.Helper()
		checkNoAnswer(t, got, slashid.ConnectionLost, true)
	}
	for _, tc := range []struct {
		name string
		// end is what becomes of the first request; later ones are answered.
		end          func(c http2Conn, stream uint32)
		check        func(*testing.T, slashid.Result)
		wantRequests int32
	}{
		{
			name:         "refused, unprocessed as the peer says",
			end:          func(c http2Conn, stream uint32) { c.resetStream(stream, codeRefusedStream) },
			check:        isLost,
			wantRequests: 1,
		},
		{
			name:         "the connection goes away, without it as the peer says",
			end:          func(c http2Conn, stream uint32) { c.goAway(stream-1, codeNoError, "") },
			check:        isLost,
			wantRequests: 1,
		},
		{
			// Some take this, too, for a word that nothing was processed.
			name:         "the stream ends in a protocol error",
			end:          func(c http2Conn, stream uint32) { c.resetStream(stream, 0x1) },
			check:        isLost,
			wantRequests: 1,
		},
		{
			name:         "the stream fails",
			end:          func(c http2Conn, stream uint32) { c.resetStream(stream, codeInternalError) },
			check:        isLost,
			wantRequests: 1,
		},
		{
			name:         "the connection goes away after it",
			end:          func(c http2Conn, stream uint32) { c.goAway(stream, codeNoError, "") },
			check:        isLost,
			wantRequests: 1,
		},
		{
			name:         "the connection closes",
			end:          func(c http2Conn, _ uint32) { _ = c.Close() },
			check:        isLost,
			wantRequests: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			client := startHTTP2Peer(t, func(c http2Conn) {
				for stream := c.readRequest(); stream != 0; stream = c.readRequest() {
					if requests.Add(1) == 1 {
						tc.end(c, stream)
					} else {
						c.revoked(stream)
					}
				}
			})

			tc.check(t, revoke(t, client, aRequest()))

			if n := requests.Load(); n != tc.wantRequests {
				t.Errorf("the peer got %d requests, want %d", n, tc.wantRequests)
			}
		})
	}
}
