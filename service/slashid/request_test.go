package slashid_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

// sentRequest is what of a request arrives.
type sentRequest struct {
	Method, URI string
	Header      http.Header
	Body        string
}

// recordRequest sends req below basePath and returns what arrived.
func recordRequest(t *testing.T, start func(*httptest.Server), basePath string, req slashid.Request) sentRequest {
	t.Helper()
	var got sentRequest
	server := startServerAs(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request's body: %v", err)
		}
		if want := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(); r.Host != want {
			t.Errorf("Host: got %q, want %q", r.Host, want)
		}
		got = sentRequest{r.Method, r.RequestURI, r.Header, string(body)}
		w.WriteHeader(http.StatusNoContent)
	}, start)
	checkRevoked(t, revoke(t, newClient(t, server.URL+basePath), req))
	return got
}

// The headers are compared as a whole: one that is not listed must not be sent.
func TestRevokeSendsSlashIDsRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		req        slashid.Request
		wantHeader http.Header
	}{
		{
			name: "no more than needed",
			req:  aRequest(),
			wantHeader: http.Header{
				"Accept":                               {"application/json"},
				"Accept-Encoding":                      {"identity"},
				"Content-Length":                       {"80"},
				"Content-Type":                         {"application/json"},
				"User-Agent":                           {"quash"},
				"Slashid-Required-Consistency":         {"local_region"},
				"Slashid-Required-Consistency-Timeout": {"30"},
			},
		},
		{
			name: "everything",
			req: slashid.Request{
				Token:       slashid.NewSecret(token),
				Consistency: slashid.AllRegions,
				Timeout:     120 * time.Second,
				SDKVersion:  "1.4.1",
				Credentials: slashid.Credentials{
					APIKey:        slashid.NewSecret("the-api-key"),
					Authorization: slashid.NewSecret("Bearer the-user-token"),
					OrgID:         "the-organisation",
				},
				NewConnection: true,
			},
			wantHeader: http.Header{
				"Accept":                               {"application/json"},
				"Accept-Encoding":                      {"identity"},
				"Authorization":                        {"Bearer the-user-token"},
				"Content-Length":                       {"80"},
				"Content-Type":                         {"application/json"},
				"User-Agent":                           {"quash"},
				"Slashid-Api-Key":                      {"the-api-key"},
				"Slashid-Orgid":                        {"the-organisation"},
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"120"},
				"Slashid-Sdkversion":                   {"1.4.1"},
			},
		},
	} {
		for protocol, start := range protocols {
			t.Run(tt.name+", "+protocol, func(t *testing.T) {
				t.Parallel()
				got := recordRequest(t, start, "", tt.req)
				want := sentRequest{http.MethodPost, "/token/revoke", tt.wantHeader, `{"token":"` + token + `"}`}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

func TestRevokeSendsTheTokenAsItIs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a", "a.b.c", "-_.~+/=", `with "quotes" and \ and <tags> & more`, strings.Repeat("x", 16<<10),
	} {
		for _, start := range protocols {
			req := aRequest()
			req.Token = slashid.NewSecret(text)
			if got := tokenIn([]byte(recordRequest(t, start, "", req).Body)); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
	}
}

func TestRevokeGoesBelowTheBaseURL(t *testing.T) {
	t.Parallel()
	for basePath, want := range map[string]string{
		"":           "/token/revoke",
		"/":          "/token/revoke",
		"/sandbox":   "/sandbox/token/revoke",
		"/sandbox/":  "/sandbox/token/revoke",
		"/a/b//":     "/a/b/token/revoke",
		"/a%2Fb/":    "/a%2Fb/token/revoke",
		"/token":     "/token/token/revoke",
		"/with%20sp": "/with%20sp/token/revoke",
	} {
		if got := recordRequest(t, protocols["HTTP/1.1"], basePath, aRequest()).URI; got != want {
			t.Errorf("base path %q: got %q, want %q", basePath, got, want)
		}
	}
}

// Names are written as DNS and HTTP have them.
func TestRevokeNamesTheHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, dialed, host string }{
		{"http://slashid.test", "slashid.test:80", "slashid.test"},
		{"http://slashid.test:8080", "slashid.test:8080", "slashid.test:8080"},
		{"http://slashid.test:", "slashid.test:80", "slashid.test"},
		{"http://bücher.test/base", "xn--bcher-kva.test:80", "xn--bcher-kva.test"},
		{"http://my_service.test", "my_service.test:80", "my_service.test"},
		{"http://192.0.2.1:81", "192.0.2.1:81", "192.0.2.1:81"},
		{"http://[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1]"},
		{"http://[fe80::1%25eth0]:81", "[fe80::1%eth0]:81", "[fe80::1]:81"},
	} {
		hosts := make(chan string, 1)
		client := newClient(t, tt.base)
		peer := connectPeer(t, client, func(c *peerConn) {
			if req := c.readRequest(); req != nil {
				hosts <- req.Host
				c.answer(revoked)
			}
		})
		var dialed string
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed = addr
			return peer.dial(ctx, network, addr)
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		if host := <-hosts; host != tt.host || dialed != tt.dialed {
			t.Errorf("%s: %s is asked for %s, want %s for %s", tt.base, dialed, host, tt.dialed, tt.host)
		}
	}
}

func TestRevokeSendsWholeSeconds(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]string{
		time.Second:             "1",
		1999 * time.Millisecond: "1",
		45*time.Second + 1:      "45",
		2*time.Minute - 1:       "119",
		2 * time.Minute:         "120",
	} {
		req := aRequest()
		req.Timeout = timeout
		if got := recordRequest(t, protocols["HTTP/1.1"], "", req).Header.Get(slashid.HeaderConsistencyTimeout); got != want {
			t.Errorf("%v: got %q, want %q", timeout, got, want)
		}
	}
}

// BeforeSend has the last word on whether the token is sent, on a connection that is
// new and on one that is not.
func TestBeforeSend(t *testing.T) {
	overBoth(t, map[string]bool{"a new connection": false, "one that is used again": true}, func(t *testing.T, protocol string, reused bool) {
		arrived := 0
		client, _ := newTLSPeer(t, protocol, answering(protocol, "204", func(string) { arrived++ }))
		if reused {
			checkRevoked(t, revoke(t, client, aRequest()))
		}
		before, asked := arrived, 0
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return false }

		got := revoke(t, client, req)

		synctest.Wait()
		if want := (slashid.Result{Err: slashid.ErrNotSent}); got != want || asked != 1 || arrived != before {
			t.Errorf("got %+v after %d questions, %d tokens arrived, want %+v", got, asked, arrived-before, want)
		}
		req.BeforeSend = func() bool { asked++; return true }
		checkRevoked(t, revoke(t, client, req))
		if asked != 2 || arrived != before+1 {
			t.Errorf("asked %d times, %d tokens arrived", asked, arrived-before)
		}
	})
}

// BeforeSend is asked again before the token is sent again. What was sent is sent.
func TestBeforeSendWhenSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		arrived, asked := 0, 0
		client, _ := newHTTP2Peer(t, func(c *http2Conn) {
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				arrived++
				_ = c.aside().WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			}
		})
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return asked == 1 }
		got := revoke(t, client, req)
		synctest.Wait()
		if want := (slashid.Result{Sent: true, Resent: true, Err: slashid.ErrNotSent}); got != want || asked != 2 || arrived != 1 {
			t.Errorf("got %+v after %d questions, %d tokens arrived, want %+v", got, asked, arrived, want)
		}
	})
}

// While Result.Sent is false, the token is not sent later either: the caller has been
// told that nothing was done. Here contexts end while requests wait for a connection,
// which comes afterwards.
func TestNothingIsSentAfterRevokeHasReturned(t *testing.T) {
	overBoth(t, map[string]bool{"while dialing": true, "while shaking hands": false}, func(t *testing.T, protocol string, dialing bool) {
		gate := make(chan struct{})
		arrived := 0
		script := overTLS(certificate(), protocol, answering(protocol, "204", func(string) { arrived++ }))
		client := newClient(t, "https://slashid.test")
		peer := connectPeer(t, client, func(c *peerConn) {
			if !dialing {
				<-gate
			}
			script(c)
		})
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dialing {
				<-gate
			}
			return peer.dial(ctx, network, addr)
		})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/10)
			checkNoAnswer(t, client.Revoke(ctx, aRequest()), false)
			cancel()
		}
		close(gate)
		synctest.Wait()
		if arrived > 0 {
			t.Errorf("%d tokens arrived", arrived)
		}
		// The connections that came are as good as any.
		made := peer.connections()
		checkRevoked(t, revoke(t, client, aRequest()))
		peer.checkConnections(t, made)
	})
}

// stalling is a connection whose Write can be made to wait.
type stalling struct {
	net.Conn
	gate *atomic.Pointer[chan struct{}]
}

func (s stalling) Write(b []byte) (int, error) {
	if gate := s.gate.Load(); gate != nil {
		<-*gate
	}
	return s.Conn.Write(b)
}

// The same where the context ends while the header is being written: not even BeforeSend
// is called any more.
func TestNothingIsSentAfterAHeaderThatTakesLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		arrived := 0
		client, peer := newTLSPeer(t, "h2", answering("h2", "204", func(string) { arrived++ }))
		var stall atomic.Pointer[chan struct{}]
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := peer.dial(ctx, network, addr)
			return stalling{conn, &stall}, err
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		synctest.Wait()
		gate := make(chan struct{})
		stall.Store(&gate)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := aRequest()
		req.BeforeSend = func() bool { t.Error("the token is sent"); return true }

		checkNoAnswer(t, client.Revoke(ctx, req), false)

		close(gate)
		synctest.Wait()
		if arrived != 1 {
			t.Errorf("%d tokens arrived, want that of the first request", arrived)
		}
	})
}
