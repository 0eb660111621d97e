package slashid_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

// scripted is a script of which the first connection has its own. Later ones answer each
// request by 204.
func scripted(protocol string, first func(*peerConn)) func(*peerConn) {
	return func(c *peerConn) {
		if c.number == 1 {
			first(c)
			return
		}
		answering(protocol, "204", nil)(c)
	}
}

// begin attempts a request, and returns where its result comes.
func begin(t *testing.T, client *slashid.Client) <-chan slashid.Result {
	t.Helper()
	result := make(chan slashid.Result, 1)
	go func() { result <- client.Revoke(t.Context(), aRequest()) }()
	synctest.Wait()
	return result
}

// A connection on which nothing is answered is left. What was sent on it is answered if
// its answer comes.
func TestConnectionWithoutAnswersIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const late = time.Minute
		client, peer := newTLSPeer(t, "h2", scripted("h2", overHTTP2(func(c *http2Conn) {
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				time.AfterFunc(late, func() { c.answer(stream, "204") })
			}
		})))
		begun := time.Now()
		early := []<-chan slashid.Result{begin(t, client)}
		time.Sleep(slashid.DoubtAfter - time.Second)
		early = append(early, begin(t, client))
		peer.checkConnections(t, 1)

		time.Sleep(2 * time.Second)
		for range 2 {
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, 2)
		}
		for _, result := range early {
			checkRevoked(t, <-result)
		}
		if want := late + slashid.DoubtAfter - time.Second; time.Since(begun) != want {
			t.Errorf("the last answer came after %v, want %v", time.Since(begun), want)
		}
	})
}

// A connection on which nothing comes but what a proxy or another server may have said
// is left, too. An answer of SlashID's, such as a refusal, is a sign that it works.
func TestConnectionWithoutGoodAnswersIsLeft(t *testing.T) {
	overBoth(t, map[string]bool{
		"500": true, "502": true, "503": true, "504": true, "400": true, "404": true, "408": true,
		"204": false, "401": false, "403": false, "429": false,
	}, func(t *testing.T, protocol string, left bool) {
		status := t.Name()[len(t.Name())-3:]
		client, peer := newTLSPeer(t, protocol, scripted(protocol, answering(protocol, status, nil)))
		want := 1
		for begun := time.Now(); time.Since(begun) < 10*slashid.DoubtAfter; time.Sleep(time.Second / 4) {
			if left && time.Since(begun) > slashid.DoubtAfter {
				want = 2
			}
			if got := revoke(t, client, aRequest()); want == 2 {
				checkRevoked(t, got)
			}
			peer.checkConnections(t, want)
		}
	})
}

// One good answer in doubtAfter is enough.
func TestConnectionWithSomeGoodAnswersIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, func(c *peerConn) {
			for n := 0; c.readRequest() != nil; n++ {
				if n%4 == 3 {
					c.answer(revoked)
				} else {
					c.answer("HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n")
				}
			}
		})
		for range 50 {
			revoke(t, client, aRequest())
			time.Sleep(time.Second)
		}
		peer.checkConnections(t, 1)
	})
}

// A healthy connection serves all requests until it has its age, and those in flight
// then. After them it is closed.
func TestConnectionAge(t *testing.T) {
	const late = time.Minute // comes the 30th answer
	first := map[string]func(*peerConn){
		"http/1.1": func(c *peerConn) {
			for n := 1; c.readRequest() != nil; n++ {
				time.Sleep(time.Duration(n/30) * late)
				c.answer(revoked)
			}
		},
		"h2": overHTTP2(func(c *http2Conn) {
			n := 0
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				n++
				time.AfterFunc(time.Duration(n/30)*late, func() { c.answer(stream, "204") })
			}
		}),
	}
	overBoth(t, map[string]time.Duration{"by default": 0, "as configured": 2 * time.Minute}, func(t *testing.T, protocol string, configured time.Duration) {
		client := newClientWith(t, "https://slashid.test", slashid.Config{RootCAs: trusted, ConnectionAge: configured})
		peer := connectPeer(t, client, overTLS(certificate(), protocol, scripted(protocol, first[protocol])))
		age := cmp.Or(configured, slashid.DefaultConnectionAge)
		for range 29 {
			checkRevoked(t, revoke(t, client, aRequest()))
			time.Sleep(age / 30)
		}
		inFlight := begin(t, client)
		peer.checkConnections(t, 1)
		time.Sleep(age / 30)
		for range 2 {
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, 2)
		}
		begun := time.Now()
		checkRevoked(t, <-inFlight)
		if got, want := time.Since(begun), late-age/30; got != want {
			t.Errorf("the request in flight ended after %v, want %v", got, want)
		}
		peer.scripts.Wait() // ends with the connections
		// The old one with its last request over HTTP/1.1, when it becomes idle over HTTP/2.
		want := map[string]time.Duration{"http/1.1": max(slashid.IdleTimeout, late-age/30), "h2": late - age/30 + slashid.IdleTimeout}[protocol]
		if got := time.Since(begun); got != want {
			t.Errorf("the connections closed after %v, want %v", got, want)
		}
	})
}

// A request that wants a connection of its own gets it, and those after it share it.
// What is in flight on the earlier ones is left alone.
func TestNewConnection(t *testing.T) {
	overBoth(t, map[string]bool{"": true}, func(t *testing.T, protocol string, _ bool) {
		client, peer := newTLSPeer(t, protocol, scripted(protocol, func(c *peerConn) {
			_, _ = c.reader.Peek(1)
			time.Sleep(time.Second)
			answering(protocol, "204", nil)(c)
		}))
		inFlight := begin(t, client)
		req := aRequest()
		req.NewConnection = true
		for n := 2; n < 5; n++ {
			checkRevoked(t, revoke(t, client, req))
			peer.checkConnections(t, n)
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, n)
		}
		checkRevoked(t, <-inFlight)
	})
}

// The authorities can change. From then on they decide about every request, those that
// an idle connection could take included.
func TestRootCAsChange(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			certificates := []tls.Certificate{newCertificate(), newCertificate()}
			pools := []*x509.CertPool{poolOf(certificates[0]), poolOf(certificates[1])}
			var own, trusted atomic.Int32
			client := newClientWith(t, "https://slashid.test", slashid.Config{
				RootCAs: func() *x509.CertPool { return pools[trusted.Load()] },
			})
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			p := servePeer(t, listener, func(c *peerConn) {
				overTLS(certificates[own.Load()], protocol, answering(protocol, "204", nil))(c)
			})
			client.DialThrough(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
			})

			checkRevoked(t, revoke(t, client, aRequest()))
			own.Store(1)
			checkRevoked(t, revoke(t, client, aRequest())) // on the connection that is there
			p.checkConnections(t, 1)
			trusted.Store(1)
			checkRevoked(t, revoke(t, client, aRequest()))
			checkRevoked(t, revoke(t, client, aRequest()))
			p.checkConnections(t, 2)
			trusted.Store(0)
			got := revoke(t, client, aRequest())
			checkNoAnswer(t, got, false)
			if !is[x509.UnknownAuthorityError](got.Err) {
				t.Errorf("the cause is %v", got.Err)
			}
		})
	}
}

// A burst makes few connections at a time over HTTP/2, so that requests find room on
// them. Over HTTP/1.1, once that is known, it makes more.
func TestConnectionsAreMadeSomeAtATime(t *testing.T) {
	scripts := map[string]func(*peerConn){
		"http/1.1": func(c *peerConn) {
			for c.readRequest() != nil {
				time.Sleep(10 * time.Second)
				c.answer(revoked)
			}
		},
		"h2": answering("h2", "204", nil),
	}
	overBoth(t, map[string]int{"": 300}, func(t *testing.T, protocol string, burst int) {
		var dialing, most atomic.Int32
		client, peer := newTLSPeer(t, protocol, scripts[protocol])
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			most.Store(max(most.Load(), dialing.Add(1)))
			defer dialing.Add(-1)
			time.Sleep(time.Second / 10)
			return peer.dial(ctx, network, addr)
		})
		want := int32(slashid.MaxConnectingHTTP2)
		if protocol == "http/1.1" {
			want = slashid.MaxConnectingHTTP1
		}
		for _, got := range revokeAll(t, client, burst) {
			checkRevoked(t, got)
		}
		if most.Load() != want {
			t.Errorf("%d connections were made at a time, want %d", most.Load(), want)
		}
	})
}

// A SlashID that is slow is not stuck: its answers, over whichever connection, are a
// reason to use the present ones.
func TestSlowAnswersAreNoReasonForNewConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newTLSPeer(t, "http/1.1", answering("http/1.1", "204", func(string) { time.Sleep(2 * slashid.DoubtAfter) }))
		var calls sync.WaitGroup
		for range 120 {
			calls.Go(func() { checkRevoked(t, revoke(t, client, aRequest())) })
			time.Sleep(time.Second)
		}
		calls.Wait()
		// Eleven are in flight at a time. The first answers come after the first doubts.
		if n := peer.connections(); n > 2*11 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// SlashID answers within the timeout that it is given. So requests that time out are a
// reason to leave a connection even while others on it are answered.
func TestConnectionWithTimeoutsIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newTLSPeer(t, "h2", scripted("h2", overHTTP2(func(c *http2Conn) {
			n := 0
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				if n++; n%2 == 1 {
					c.answer(stream, "204")
				}
			}
		})))
		for range slashid.MaxTimeouts {
			peer.checkConnections(t, min(1, peer.connections()))
			checkRevoked(t, revoke(t, client, aRequest()))
			ctx, cancel := context.WithTimeout(t.Context(), slashid.DoubtAfter-time.Second)
			checkNoAnswer(t, client.Revoke(ctx, aRequest()), true)
			cancel()
		}
		for range 4 {
			checkRevoked(t, revoke(t, client, aRequest()))
		}
		peer.checkConnections(t, 2)
	})
}

// A connection that answers nothing is left also while slow answers come over earlier
// ones.
func TestSilentConnectionIsLeftWhileOthersAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age = 2 * time.Minute
		begun := time.Now()
		client := newClientWith(t, "https://slashid.test", slashid.Config{RootCAs: trusted, ConnectionAge: age})
		connectPeer(t, client, overTLS(certificate(), "h2", overHTTP2(func(c *http2Conn) {
			made, n := time.Since(begun), 0
			for stream, _ := c.readRequest(); stream != 0; stream, _ = c.readRequest() {
				switch {
				case made < age: // every other answer is slow
					n++
					time.AfterFunc(time.Duration(n%2)*time.Minute, func() { c.answer(stream, "204") })
				case made < age+slashid.SilentAfter: // is stuck
				default:
					c.answer(stream, "204")
				}
			}
		})))
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for time.Since(begun) <= age+slashid.SilentAfter {
			calls.Go(func() { client.Revoke(ctx, aRequest()) })
			time.Sleep(time.Second)
		}
		checkRevoked(t, revoke(t, client, aRequest()))
		cancel()
		calls.Wait()
	})
}

// A peer that takes connections and no requests does not have the client dial without end.
func TestPeerThatTakesNoRequests(t *testing.T) {
	inBubbles(t, map[string]func(*peerConn){
		"closes at once":            func(*peerConn) {},
		"says nothing":              (*peerConn).waitForClose,
		"allows no requests":        overHTTP2(func(c *http2Conn) { c.readRequest() }, http2.Setting{ID: http2.SettingMaxConcurrentStreams}),
		"closes after its settings": overHTTP2(func(*http2Conn) {}),
		"goes away after its settings": overHTTP2(func(c *http2Conn) {
			_ = c.WriteGoAway(0, http2.ErrCodeNo, nil)
			c.readRequest()
		}),
		"says something else": func(c *peerConn) {
			c.answer("HTTP/1.1 400 Bad Request\n\n")
			c.waitForClose()
		},
	}, func(t *testing.T, script func(*peerConn)) {
		client, peer := newTLSPeer(t, "h2", script)
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Millisecond)
			return peer.dial(ctx, network, addr)
		})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				if got := client.Revoke(ctx, aRequest()); got.Status != 0 || got.Err == nil {
					t.Errorf("got %+v", got)
				}
			})
		}
		calls.Wait()
		time.Sleep(3 * slashid.DialTimeout) // until the last dials have ended
		if peer.connections() > 100 {
			t.Errorf("%d connections were made for 20 requests", peer.connections())
		}
	})
}
