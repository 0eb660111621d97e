package slashid_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quashdev/quash/service/slashid"
)

// The headers are compared as a whole: one that is not listed must not be sent.
func TestRevokeSendsSlashIDsRequest(t *testing.T) {
	t.Parallel()
	always := func(more http.Header) http.Header {
		for key, value := range map[string]string{
			"Accept": "application/json", "Accept-Encoding": "identity", "Content-Length": "80",
			"Content-Type": "application/json", "User-Agent": "quash",
		} {
			more.Set(key, value)
		}
		return more
	}
	for _, tt := range []struct {
		name string
		req  slashid.Request
		want http.Header
	}{
		{
			"no more than needed",
			slashid.Request{Token: slashid.NewSecret(token), Consistency: slashid.LocalRegion, Timeout: 30 * time.Second},
			always(http.Header{
				"Slashid-Required-Consistency":         {"local_region"},
				"Slashid-Required-Consistency-Timeout": {"30"},
			}),
		},
		{
			"everything",
			slashid.Request{
				Token:       slashid.NewSecret(token),
				Consistency: slashid.AllRegions,
				Timeout:     2*time.Minute - 1,
				SDKVersion:  "1.4.1",
				Credentials: slashid.Credentials{
					APIKey:        slashid.NewSecret("the-api-key"),
					Authorization: slashid.NewSecret("Bearer the-user-token"),
					OrgID:         "the-organisation",
				},
				NewConnection: true,
			},
			always(http.Header{
				"Authorization":                        {"Bearer the-user-token"},
				"Slashid-Api-Key":                      {"the-api-key"},
				"Slashid-Orgid":                        {"the-organisation"},
				"Slashid-Required-Consistency":         {"all_regions"},
				"Slashid-Required-Consistency-Timeout": {"119"},
				"Slashid-Sdkversion":                   {"1.4.1"},
			}),
		},
	} {
		for _, protocol := range append(protocols, "") {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				t.Parallel()
				type sent struct {
					Method, Host, URI, Body string
					Header                  http.Header
				}
				var got sent
				server := startServer(t, protocol, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					got = sent{r.Method, r.Host, r.RequestURI, string(body), r.Header}
					w.WriteHeader(http.StatusNoContent)
				})
				checkRevoked(t, revoke(t, newClient(t, server.URL), tt.req))
				want := sent{http.MethodPost, server.Listener.Addr().String(), "/token/revoke", `{"token":"` + token + `"}`, tt.want}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

func TestRevokeGoesBelowTheBaseURL(t *testing.T) {
	t.Parallel()
	var uri string
	server := startServer(t, "", func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		w.WriteHeader(http.StatusNoContent)
	})
	for basePath, want := range map[string]string{
		"/":          "/token/revoke",
		"/sandbox":   "/sandbox/token/revoke",
		"/a/b//":     "/a/b/token/revoke",
		"/a%2Fb/":    "/a%2Fb/token/revoke",
		"/with%20sp": "/with%20sp/token/revoke",
	} {
		checkRevoked(t, revoke(t, newClient(t, server.URL+basePath), aRequest()))
		if uri != want {
			t.Errorf("base path %q: got %q, want %q", basePath, uri, want)
		}
	}
}

// BeforeSend has the last word on whether the token is sent, on a connection that is
// new and on one that is not.
func TestBeforeSend(t *testing.T) {
	overBoth(t, map[string]bool{"a new connection": false, "one that is used again": true}, func(t *testing.T, protocol string, reused bool) {
		arrived := 0
		client, _ := newPeer(t, protocol, func(c *peerConn) {
			for stream := range c.requests() {
				arrived++
				c.answer(stream, http.StatusNoContent)
			}
		})
		if reused {
			checkRevoked(t, revoke(t, client, aRequest()))
		}
		before, asked := arrived, 0
		req := aRequest()
		req.BeforeSend = func() bool { asked++; return asked > 1 }

		got := revoke(t, client, req)

		synctest.Wait()
		if want := (slashid.Result{Err: slashid.ErrNotSent}); got != want || asked != 1 || arrived != before {
			t.Errorf("got %+v after %d questions, %d tokens arrived, want %+v", got, asked, arrived-before, want)
		}
		checkRevoked(t, revoke(t, client, req))
		if asked != 2 || arrived != before+1 {
			t.Errorf("asked %d times, %d tokens arrived", asked, arrived-before)
		}
	})
}

// gated is a connection of which each Write waits for the gate, once there is one: before
// it writes, or after.
type gated struct {
	net.Conn

	gate  *chan struct{}
	after bool
}

// Write implements net.Conn.
func (g gated) Write(b []byte) (int, error) {
	if g.after {
		n, err := g.Conn.Write(b)
		g.wait()
		return n, err
	}
	g.wait()
	return g.Conn.Write(b)
}

func (g gated) wait() {
	if *g.gate != nil {
		<-*g.gate
	}
}

// While Result.Sent is false, the token is not sent later either: the caller has been
// told that nothing was done. Here contexts end while requests wait for a connection, which
// comes afterwards, or while their headers are written.
func TestNothingIsSentAfterRevokeHasReturned(t *testing.T) {
	overBoth(t, map[string]string{"dial": "dial", "handshake": "handshake", "header": "header"}, func(t *testing.T, protocol, stalls string) {
		if protocol == "http/1.1" && stalls == "header" {
			return // header and token are written together
		}
		var gate chan struct{}
		stall := func(during string) {
			if gate != nil && stalls == during {
				<-gate
			}
		}
		arrived := 0
		client := newClient(t, "https://slashid.test")
		script := overTLS(certificate(), protocol, func(c *peerConn) {
			for stream := range c.requests() {
				arrived++
				c.answer(stream, http.StatusNoContent)
			}
		})
		peer := connectPeer(t, client, func(c *peerConn) {
			stall("handshake")
			script(c)
		})
		var noGate chan struct{}
		written := &noGate
		if stalls == "header" {
			written = &gate
		}
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			stall("dial")
			conn, err := peer.dial(ctx, network, addr)
			return gated{Conn: conn, gate: written}, err
		})
		requests := 20
		if stalls == "header" { // of a request on a connection that is there
			checkRevoked(t, revoke(t, client, aRequest()))
			synctest.Wait()
			requests = 1
		}
		before := arrived
		gate = make(chan struct{})
		for range requests {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/10)
			req := aRequest()
			req.BeforeSend = func() bool { t.Error("the token is sent"); return true }
			checkNoAnswer(t, client.Revoke(ctx, req), false)
			cancel()
		}
		close(gate)
		synctest.Wait()
		if arrived != before {
			t.Errorf("%d tokens arrived", arrived-before)
		}
		checkRevoked(t, revoke(t, client, aRequest()))
	})
}

// A peer can answer before the token is on its way. Then the token stays here, and the
// result says so.
func TestAnswerBeforeTheTokenIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate chan struct{}
		client, peer := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() { // reads the first
				c.answer(stream, http.StatusNoContent)
				break
			}
			for frame, err := c.framer.ReadFrame(); err == nil; frame, err = c.framer.ReadFrame() {
				switch frame.Header().Type {
				case 0x1: // HEADERS
					c.answer(frame.Header().StreamID, http.StatusNoContent)
				case 0x0: // DATA
					t.Error("the token was sent")
				default:
				}
			}
		})
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := peer.dial(ctx, network, addr)
			return gated{Conn: conn, gate: &gate, after: true}, err
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		synctest.Wait()
		gate = make(chan struct{})
		if got, want := revoke(t, client, aRequest()), (slashid.Result{Status: http.StatusNoContent}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		close(gate)
	})
}
