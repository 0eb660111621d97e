package slashid_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

// Without a connection nothing is sent, and the cause says why. All requests that wait for
// it learn that there is none. Later ones have another made.
func TestNotSentWithoutAConnection(t *testing.T) {
	t.Parallel()
	certified := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for want, cause := range map[string]error{
		"lookup slashid.invalid: no such host": &net.DNSError{Err: "no such host", Name: "slashid.invalid", IsNotFound: true},
		"dial tcp: connection refused":         &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
		// A certificate may come from a peer that has seen the last request.
		"x509: the certificate is for other names than slashid.test": certified(x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{token}}, Host: "slashid.test",
		}),
		"x509: a root or intermediate certificate is not authorized to sign for this name: see the certificate": certified(
			x509.CertificateInvalidError{Reason: x509.CANotAuthorizedForThisName, Detail: token}),
		"x509: certificate has expired or is not yet valid: at some time": certified(x509.CertificateInvalidError{
			Cert: &x509.Certificate{DNSNames: []string{token}}, Reason: x509.Expired, Detail: "at some time",
		}),
		"tls: the certificate cannot be verified": certified(errors.New(token)),
	} {
		client := newClient(t, "http://slashid.test")
		client.DialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, cause })
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

func TestNotSentWhenTLSFails(t *testing.T) {
	inBubbles(t, map[string]struct {
		host    string
		rootCAs func() *x509.CertPool
		script  func(*peerConn)
		cause   string
	}{
		"an unknown authority": {
			"slashid.test", x509.NewCertPool, overTLS(certificate(), "h2", answering(http.StatusNoContent)),
			"x509: certificate signed by unknown authority",
		},
		"another name": {
			"other.test", trusted, overTLS(certificate(), "h2", answering(http.StatusNoContent)),
			"x509: the certificate is for other names than other.test",
		},
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
	}, func(t *testing.T, tt struct {
		host    string
		rootCAs func() *x509.CertPool
		script  func(*peerConn)
		cause   string
	},
	) {
		client := newClient(t, "https://"+tt.host, func(cfg *slashid.Config) { cfg.RootCAs = tt.rootCAs })
		connectPeer(t, client, tt.script)
		got := revoke(t, client, aRequest())
		if checkNoAnswer(t, got, false); !strings.Contains(got.Err.Error(), tt.cause) {
			t.Errorf("the cause is %v, want %s", got.Err, tt.cause)
		}
	})
}

// A value that no header can hold stays here.
func TestNotSentWhenAHeaderIsImpossible(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, "h2", answering(http.StatusNoContent))
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret(apiKey + "\nX-Injected: 1")
	checkNoAnswer(t, revoke(t, client, req), false)
	peer.checkConnections(t, 0)
}

// A call ends with its context, and says whether the token was sent by then.
func TestContextEnds(t *testing.T) {
	type call struct {
		script func(*peerConn)
		reused bool // the connection
		hangs  bool // the dial
		after  time.Duration
		sent   bool
	}
	silent := func(c *peerConn) {
		for range c.requests() {
			continue
		}
	}
	overBoth(t, map[string]call{
		"it has ended":                          {script: silent},
		"it has ended, with an idle connection": {script: answering(http.StatusNoContent), reused: true},
		"while dialing":                         {script: silent, after: time.Second, hangs: true},
		"while shaking hands":                   {after: time.Second},
		"nothing is answered":                   {script: silent, after: 20 * time.Second, sent: true},
	}, func(t *testing.T, protocol string, tt call) {
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			client := newClient(t, "https://slashid.test")
			script := (*peerConn).waitForClose
			if tt.script != nil {
				script = overTLS(certificate(), protocol, tt.script)
			}
			connectPeer(t, client, script)
			if tt.hangs {
				client.DialThrough(func(context.Context, string, string) (net.Conn, error) {
					time.Sleep(time.Hour)
					return nil, syscall.ETIMEDOUT
				})
			}
			if tt.reused {
				checkRevoked(t, revoke(t, client, aRequest()))
			}
			ctx, cancel := contextThatEnds(t, end, tt.after)
			defer cancel()
			req, sent := aRequest(), false
			req.BeforeSend = func() bool { sent = true; return true }
			start := time.Now()

			got := client.Revoke(ctx, req)

			checkNoAnswer(t, got, tt.sent)
			if !errors.Is(got.Err, end) || time.Since(start) != tt.after {
				t.Errorf("got %v after %v, want %v after %v", got.Err, time.Since(start), end, tt.after)
			}
			time.Sleep(2 * time.Hour) // until a dial has ended
			if sent != tt.sent {
				t.Errorf("the token was sent: %t", sent)
			}
		}
	})
}

// contextThatEnds returns a context that ends with err and, like those of the service, has
// a cause of its own.
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

// A connection that is closed by the next request, instead of an answer, was idle for too
// long. The request is sent again, on others, but not for ever. Of the first time nothing is
// known. Once an answer has begun, nothing is sent again.
func TestIdleConnectionThatIsClosedByTheNextRequest(t *testing.T) {
	type idle struct {
		connections  int
		answer       string // before they are closed
		want         slashid.Result
		wantRequests int
	}
	anError := errors.New("some error")
	resent := slashid.Result{Status: http.StatusNoContent, Sent: true, Resent: true}
	inBubbles(t, map[string]idle{
		"one":                           {1, "", resent, 2},
		"fewer than a request is sent":  {slashid.MaxSends - 1, "", resent, slashid.MaxSends},
		"as often as a request is sent": {slashid.MaxSends, "", slashid.Result{Sent: true, Resent: true, Err: anError}, slashid.MaxSends},
		"an answer has begun":           {1, "HTTP/1.1 ", slashid.Result{Sent: true, Err: anError}, 1},
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
				time.Sleep(time.Second) // so that each of the first requests has a connection
				c.answer(n, http.StatusNoContent)
			}
		})
		var first []<-chan slashid.Result
		for range tt.connections {
			first = append(first, begin(t, client))
		}
		for _, result := range first {
			checkRevoked(t, <-result)
		}
		requests = 0

		got := revoke(t, client, aRequest())

		if (got.Err != nil) != (tt.want.Err != nil) {
			t.Errorf("the cause is %v, want %v", got.Err, tt.want.Err)
		}
		if got.Err = tt.want.Err; got != tt.want || requests != tt.wantRequests {
			t.Errorf("got %+v after %d requests, want %+v after %d", got, requests, tt.want, tt.wantRequests)
		}
	})
}

// What HTTP/2 says of a stream that ends without an answer decides whether the
// request is sent again: if the peer declares that it has not processed it. BeforeSend has
// the last word each time. Whatever it was, it was for that request; what has failed too
// often is left.
func TestSentOverHTTP2(t *testing.T) {
	type stream struct {
		// end is what becomes of the first requests; later ones are answered by 204.
		end func(c *peerConn, stream uint32)
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
	reset := func(code http2.ErrCode) func(*peerConn, uint32) {
		return func(c *peerConn, stream uint32) { _ = c.frames().WriteRSTStream(stream, code) }
	}
	goAway := func(c *peerConn, last uint32, code http2.ErrCode) { _ = c.frames().WriteGoAway(last, code, nil) }
	disown := func(c *peerConn, stream uint32) { goAway(c, stream-1, http2.ErrCodeNo) }
	inBubbles(t, map[string]stream{
		"refused":                  {reset(http2.ErrCodeRefusedStream), 1, resent, 2},
		"refused always":           {reset(http2.ErrCodeRefusedStream), 100, tooOften, slashid.MaxSends},
		"disowned":                 {disown, 1, resent, 2},
		"disowned always":          {disown, 100, tooOften, slashid.MaxSends},
		"a protocol error":         {reset(http2.ErrCodeProtocol), 1, resent, 2},
		"a protocol error, always": {reset(http2.ErrCodeProtocol), 100, tooOften, slashid.MaxSends},

		"the stream fails":        {reset(http2.ErrCodeInternal), 1, lost, 1},
		"the stream is cancelled": {reset(http2.ErrCodeCancel), 1, lost, 1},
		"the connection closes":   {func(c *peerConn, _ uint32) { _ = c.Close() }, 1, lost, 1},
		"the connection goes away after it, and closes": {func(c *peerConn, stream uint32) {
			goAway(c, stream, http2.ErrCodeNo)
			_ = c.Close()
		}, 1, lost, 1},
		"the connection goes away after it, and answers": {func(c *peerConn, stream uint32) {
			goAway(c, 1<<31-1, http2.ErrCodeNo)
			goAway(c, stream, http2.ErrCodeNo)
			c.answer(stream, http.StatusNoContent)
		}, 1, once, 1},
	}, func(t *testing.T, tt stream) {
		requests, most := 0, 100
		client, peer := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() {
				if requests++; requests <= tt.times {
					tt.end(c, stream)
				} else {
					c.answer(stream, http.StatusNoContent)
				}
			}
		})
		asked := 0
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return asked <= most }

		got := revoke(t, client, req)

		synctest.Wait()
		if (got.Err != nil) != (tt.want.Err != nil) {
			t.Errorf("the cause is %v, want %v", got.Err, tt.want.Err)
		}
		if got.Err = tt.want.Err; got != tt.want || requests != tt.wantRequests || asked != requests {
			t.Errorf("got %+v after %d requests and %d questions, want %+v after %d", got, requests, asked, tt.want, tt.wantRequests)
		}
		requests = tt.times
		made := len(peer.conns)
		checkRevoked(t, revoke(t, client, aRequest()))
		if tt.want == tooOften {
			peer.checkConnections(t, made+1)
		}
		if tt.want != resent {
			return
		}
		requests, asked, most = 0, 0, 1
		got = revoke(t, client, req)
		if want := (slashid.Result{Sent: true, Resent: true, Err: slashid.ErrNotSent}); got != want || asked != 2 {
			t.Errorf("got %+v after %d questions, want %+v", got, asked, want)
		}
	})
}
