package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// Without a connection nothing is sent, and the cause says why. All requests that wait for the
// connection fail. Later requests dial again.
func TestNotSentWithoutAConnection(t *testing.T) {
	t.Parallel()
	certified := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for want, cause := range map[string]error{
		"lookup slashid.invalid: no such host": &net.DNSError{Err: "no such host", Name: "slashid.invalid", IsNotFound: true},
		"dial tcp: connection refused":         &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
		// A timeout names the address or the host.
		"dial tcp 192.0.2.1:443: i/o timeout": &net.OpError{
			Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.ErrDeadlineExceeded,
		},
		"lookup slashid.test on 192.0.2.53:53: i/o timeout": &net.DNSError{
			Err: "i/o timeout", UnwrapErr: context.DeadlineExceeded, Name: "slashid.test", Server: "192.0.2.53:53", IsTimeout: true,
		},
		// The certificate may come from a peer that saw an earlier request.
		"x509: a root or intermediate certificate is not authorized to sign for this name: see the certificate": certified(
			x509.CertificateInvalidError{Reason: x509.CANotAuthorizedForThisName, Detail: token}),
		"x509: certificate has expired or is not yet valid: at some time": certified(x509.CertificateInvalidError{
			Cert: &x509.Certificate{DNSNames: []string{token}}, Reason: x509.Expired, Detail: "at some time",
		}),
		"tls: the certificate cannot be verified": certified(errors.New(token)),
	} {
		client := newClient(t, "http://slashid.test")
		client.dialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, cause })
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				got := client.Revoke(t.Context(), aRequest())
				if checkNoAnswer(t, got, false); got.Err == nil || got.Err.Error() != want {
					t.Errorf("the cause is %v, want %s", got.Err, want)
				}
			})
		}
		calls.Wait()
		connectPeer(t, client, answering(http.StatusNoContent))
		checkRevoked(t, revoke(t, client, aRequest()))
	}
}

// A request that ends while it waits for a connection says whether any request got one.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]bool{"no request gets one": false, "another request gets one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, "http://slashid.test")
				stop := make(chan struct{}) // net/http does not cancel a dial
				defer close(stop)
				client.dialThrough(func(context.Context, string, string) (net.Conn, error) {
					<-stop
					return nil, net.ErrClosed
				})
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				waiting := make(chan Result)
				go func() { waiting <- client.Revoke(ctx, aRequest()) }()
				synctest.Wait()
				if others {
					connectPeer(t, client, answering(http.StatusNoContent))
					checkRevoked(t, revoke(t, client, aRequest()))
				}
				got := <-waiting
				if checkNoAnswer(t, got, false); got.NoConnection == others {
					t.Errorf("NoConnection is %t", got.NoConnection)
				}
			})
		})
	}
}

func TestNotSentWhenTLSFails(t *testing.T) {
	type failure struct {
		host    string
		rootCAs func() *x509.CertPool
		script  func(*peerConn)
		cause   string
	}
	good := overTLS(certificate(), "h2", answering(http.StatusNoContent))
	inBubbles(t, map[string]failure{
		"an unknown authority": {"slashid.test", x509.NewCertPool, good, "x509: certificate signed by unknown authority"},
		"another name":         {"other.test", trusted, good, "x509: the certificate is not valid for other.test"},
		"an old version": {"slashid.test", trusted, func(c *peerConn) {
			_ = tls.Server(c.Conn, &tls.Config{
				Certificates: []tls.Certificate{certificate()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
			}).Handshake()
		}, "remote error: tls: protocol version not supported"},
		"no TLS at all": {"slashid.test", trusted, func(c *peerConn) {
			_, _ = c.reader.Peek(1)
			c.write("HTTP/1.1 400 " + token + "\n\n")
		}, "tls: first record does not look like a TLS handshake"},
		"silence": {"slashid.test", trusted, (*peerConn).waitForClose, "net/http: TLS handshake timeout"},
	}, func(t *testing.T, tt failure) {
		client := newClient(t, "https://"+tt.host, func(cfg *Config) { cfg.RootCAs = tt.rootCAs })
		connectPeer(t, client, tt.script)
		got := revoke(t, client, aRequest())
		if checkNoAnswer(t, got, false); !strings.Contains(got.Err.Error(), tt.cause) {
			t.Errorf("the cause is %v, want %s", got.Err, tt.cause)
		}
	})
}

// BeforeSend decides whether the token is sent, on a new connection and on a reused one.
func TestBeforeSend(t *testing.T) {
	overBoth(t, map[string]bool{"a new connection": false, "one that is used again": true}, func(t *testing.T, protocol string, reused bool) {
		arrived := 0
		client, _ := newPeer(t, protocol, counting(&arrived))
		if reused {
			checkRevoked(t, revoke(t, client, aRequest()))
		}
		before, asked := arrived, 0
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return asked > 1 }

		got := revoke(t, client, req)

		synctest.Wait()
		if want := (Result{Err: ErrNotSent}); got != want || asked != 1 || arrived != before {
			t.Errorf("got %+v after %d questions, %d tokens arrived, want %+v", got, asked, arrived-before, want)
		}
		checkRevoked(t, revoke(t, client, req))
		if asked != 2 || arrived != before+1 {
			t.Errorf("asked %d times, %d tokens arrived", asked, arrived-before)
		}
	})
}

// A request with an invalid header value is not sent.
func TestNotSentWhenAHeaderIsImpossible(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, "h2", answering(http.StatusNoContent))
	req := aRequest()
	req.Credentials.APIKey = NewSecret(apiKey + "\nX-Injected: 1")
	checkNoAnswer(t, revoke(t, client, req), false)
	peer.checkConnections(t, 0)
}

// A call ends with its context, and reports whether the token was sent. If it was not, it is
// not sent later either, when the stalled connection continues: the caller received
// NOT_APPLIED.
func TestContextEnds(t *testing.T) {
	type call struct {
		stalls string // what stalls for 3 s
		reused bool   // whether the connection is reused
		after  time.Duration
		sent   bool
	}
	overBoth(t, map[string]call{
		"it has ended":                          {},
		"it has ended, with an idle connection": {reused: true},
		"while dialing":                         {stalls: "dial", after: time.Second},
		"while shaking hands":                   {stalls: "handshake", after: time.Second},
		"while the header is written":           {stalls: "header", reused: true, after: time.Second},
		"nothing is answered":                   {stalls: "answer", after: time.Second, sent: true},
	}, func(t *testing.T, protocol string, tt call) {
		if protocol == "http/1.1" && tt.stalls == "header" {
			return // HTTP/1.1 writes header and token together
		}
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			var arrived atomic.Int32
			var stalling atomic.Bool
			stall := func(during string) {
				if stalling.Load() && tt.stalls == during {
					time.Sleep(3 * time.Second)
				}
			}
			client := newClient(t, "https://slashid.test")
			script := overTLS(certificate(), protocol, func(c *peerConn) {
				for stream := range c.requests() {
					arrived.Add(1)
					stall("answer")
					c.answer(stream, http.StatusNoContent)
				}
			})
			peer := connectPeer(t, client, func(c *peerConn) { stall("handshake"); script(c) })
			client.dialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
				stall("dial")
				conn, err := peer.dial(ctx, network, addr)
				return hooked{Conn: conn, before: func() { stall("header") }}, err
			})
			if tt.reused {
				checkRevoked(t, revoke(t, client, aRequest()))
				synctest.Wait()
			}
			before := arrived.Load()
			stalling.Store(true)
			ctx, cancel := contextThatEnds(t, end, tt.after)
			defer cancel()
			start := time.Now()

			got := client.Revoke(ctx, aRequest())

			checkNoAnswer(t, got, tt.sent)
			if !errors.Is(got.Err, end) || time.Since(start) != tt.after {
				t.Errorf("got %v after %v, want %v after %v", got.Err, time.Since(start), end, tt.after)
			}
			time.Sleep(5 * time.Second)
			stalling.Store(false)
			if sent := arrived.Load() > before; sent != tt.sent {
				t.Errorf("the token arrived: %t", sent)
			}
			checkRevoked(t, revoke(t, client, aRequest()))
		}
	})
}

// contextThatEnds returns a context that ends with err and has another cause, like the contexts
// of package service.
func contextThatEnds(t *testing.T, err error, after time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	cause := errors.New("some cause")
	if errors.Is(err, context.DeadlineExceeded) {
		return context.WithTimeoutCause(t.Context(), after, cause)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if after == 0 {
		cancel(cause)
	} else {
		time.AfterFunc(after, func() { cancel(cause) })
	}
	return ctx, func() { cancel(nil) }
}

// hooked is a connection that calls hooks around each Write.
type hooked struct {
	net.Conn

	before, after func()
}

// Write implements net.Conn.
func (h hooked) Write(b []byte) (int, error) {
	if h.before != nil {
		h.before()
	}
	n, err := h.Conn.Write(b)
	if h.after != nil {
		h.after()
	}
	return n, err
}

// If the peer answers before the token is sent, the token is not sent, and the result says so.
func TestAnswerBeforeTheTokenIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stalling atomic.Bool
		client, peer := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() { // read the first request
				c.answer(stream, http.StatusNoContent)
				break
			}
			for frame, err := c.framer.ReadFrame(); err == nil; frame, err = c.framer.ReadFrame() {
				switch frame.Header().Type {
				case http2.FrameHeaders:
					c.answer(frame.Header().StreamID, http.StatusNoContent)
				case http2.FrameData:
					t.Error("the token was sent")
				default:
				}
			}
		})
		client.dialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := peer.dial(ctx, network, addr)
			return hooked{Conn: conn, after: func() {
				if stalling.Load() {
					time.Sleep(time.Second)
				}
			}}, err
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		synctest.Wait()
		stalling.Store(true)
		if got, want := revoke(t, client, aRequest()), (Result{Status: http.StatusNoContent}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(5 * time.Second)
		stalling.Store(false)
	})
}

var (
	errAny     = errors.New("some error") // matches every error of a Result
	resentOnce = Result{Status: http.StatusNoContent, Sent: true, Resent: true}
	lost       = Result{Sent: true, Err: errAny}
	tooOften   = Result{Sent: true, Resent: true, Err: errAny}
)

// checkResult checks a result, and the number of requests that the peer received for it.
func checkResult(t *testing.T, got, want Result, requests, wantRequests int) {
	t.Helper()
	cause := got.Err
	if got.Err != nil && want.Err != nil {
		got.Err = want.Err
	}
	if got != want || requests != wantRequests {
		t.Errorf("got %+v, %v after %d requests, want %+v after %d", got, cause, requests, want, wantRequests)
	}
}

// If a reused connection closes instead of answering, it was idle for too long. The request is
// resent on other connections, at most maxSends times, and the result of the first time is
// unknown. After the first byte of a response nothing is resent.
func TestIdleConnectionThatIsClosedByTheNextRequest(t *testing.T) {
	type idle struct {
		connections  int
		answer       string // sent before they are closed
		want         Result
		wantRequests int
	}
	inBubbles(t, map[string]idle{
		"one":                           {1, "", resentOnce, 2},
		"fewer than a request is sent":  {maxSends - 1, "", resentOnce, maxSends},
		"as often as a request is sent": {maxSends, "", tooOften, maxSends},
		"an answer has begun":           {1, "HTTP/1.1 ", lost, 1},
	}, func(t *testing.T, tt idle) {
		requests := 0
		client := newClient(t, "http://slashid.test")
		connectPeer(t, client, func(c *peerConn) {
			for n := range c.requests() {
				requests++
				if n > 1 && c.number <= tt.connections {
					c.write(tt.answer)
					return
				}
				time.Sleep(time.Second) // so that each of the first requests opens a connection
				c.answer(n, http.StatusNoContent)
			}
		})
		var first []<-chan Result
		for range tt.connections {
			first = append(first, begin(t, client))
		}
		for _, result := range first {
			checkRevoked(t, <-result)
		}
		requests = 0
		got := revoke(t, client, aRequest())
		checkResult(t, got, tt.want, requests, tt.wantRequests)
	})
}

// A stream that ends without a response is resent if the peer declares with HTTP/2 that it did
// not process the request. BeforeSend decides each time. The transport is replaced if the
// request was sent too often.
func TestSentOverHTTP2(t *testing.T) {
	type stream struct {
		// end ends the first requests; later ones are answered with 204.
		end func(c *peerConn, stream uint32)
		// times is the number of the first requests.
		times        int
		want         Result
		wantRequests int
	}
	reset := func(code http2.ErrCode) func(*peerConn, uint32) {
		return func(c *peerConn, stream uint32) { _ = c.frames().WriteRSTStream(stream, code) }
	}
	goAway := func(c *peerConn, last uint32) { _ = c.frames().WriteGoAway(last, http2.ErrCodeNo, nil) }
	disown := func(c *peerConn, stream uint32) { goAway(c, stream-1) }
	inBubbles(t, map[string]stream{
		"refused":          {reset(http2.ErrCodeRefusedStream), 1, resentOnce, 2},
		"refused always":   {reset(http2.ErrCodeRefusedStream), 100, tooOften, maxSends},
		"disowned":         {disown, 1, resentOnce, 2},
		"disowned always":  {disown, 100, tooOften, maxSends},
		"a protocol error": {reset(http2.ErrCodeProtocol), 1, resentOnce, 2},

		"the stream fails":      {reset(http2.ErrCodeInternal), 1, lost, 1},
		"the connection closes": {func(c *peerConn, _ uint32) { _ = c.Close() }, 1, lost, 1},
		"the connection goes away after it, and closes": {func(c *peerConn, stream uint32) {
			goAway(c, stream)
			_ = c.Close()
		}, 1, lost, 1},
		"the connection goes away after it, and answers": {func(c *peerConn, stream uint32) {
			goAway(c, 1<<31-1)
			goAway(c, stream)
			c.answer(stream, http.StatusNoContent)
		}, 1, Result{Status: http.StatusNoContent, Sent: true}, 1},
	}, func(t *testing.T, tt stream) {
		requests, asked, most := 0, 0, 100
		client, peer := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() {
				if requests++; requests <= tt.times {
					tt.end(c, stream)
				} else {
					c.answer(stream, http.StatusNoContent)
				}
			}
		})
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return asked <= most }

		got := revoke(t, client, req)

		synctest.Wait()
		if checkResult(t, got, tt.want, requests, tt.wantRequests); asked != requests {
			t.Errorf("BeforeSend was asked %d times", asked)
		}
		requests = tt.times
		made := len(peer.conns)
		checkRevoked(t, revoke(t, client, aRequest()))
		if tt.want == tooOften {
			peer.checkConnections(t, made+1)
		}
		if tt.want == resentOnce {
			requests, asked, most = 0, 0, 1
			got = revoke(t, client, req)
			checkResult(t, got, Result{Sent: true, Resent: true, Err: ErrNotSent}, asked, 2)
		}
	})
}
