package slashid

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A connection is left on which nothing comes, or nothing but what a proxy or another server
// may have said. An answer of SlashID's, such as a refusal, is a sign that it works, and one
// every few seconds is enough; so are slow answers over earlier connections. What was sent on
// a connection that is left is answered if its answer comes.
func TestConnectionWithoutGoodAnswersIsLeft(t *testing.T) {
	type answers struct {
		statuses []int // in turn
		late     time.Duration
		always   bool // on every connection, not only on the first
		left     bool
	}
	cases := map[string]answers{
		"nothing yet":             {[]int{204}, time.Minute, false, true},
		"slow":                    {[]int{204}, 2*doubtAfter - time.Second, true, true}, // once: the first comes after the first doubt
		"a good one now and then": {[]int{503, 503, 503, 204}, 0, false, false},
	}
	for _, status := range []int{500, 502, 503, 504, 400, 404, 408} {
		cases[strconv.Itoa(status)] = answers{statuses: []int{status}, left: true}
	}
	for _, status := range []int{204, 401, 403, 429} {
		cases[strconv.Itoa(status)] = answers{statuses: []int{status}}
	}
	overBoth(t, cases, func(t *testing.T, protocol string, tt answers) {
		if tt.late > 0 && protocol == "http/1.1" {
			return // each request has a connection of its own
		}
		script := func(c *peerConn) {
			n := 0
			for stream := range c.requests() {
				status := tt.statuses[n%len(tt.statuses)]
				time.AfterFunc(tt.late, func() { c.answer(stream, status) })
				n++
			}
		}
		if !tt.always {
			script = firstOnly(script)
		}
		client, peer := newPeer(t, protocol, script)
		var results []<-chan Result
		want := 1
		for begun := time.Now(); time.Since(begun) < 5*doubtAfter; time.Sleep(time.Second) {
			if tt.left && time.Since(begun) > doubtAfter {
				want = 2
			}
			results = append(results, begin(t, client))
			peer.checkConnections(t, want)
		}
		for i, result := range results {
			if got := <-result; got.Status == 0 || i > int(doubtAfter/time.Second) && tt.left && got.Status != http.StatusNoContent {
				t.Errorf("request %d: %+v", i+1, got)
			}
		}
	})
}

// A connection that answers nothing is left also while slow answers come over earlier
// ones.
func TestSilentConnectionIsLeftWhileOthersAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age = 2 * time.Minute
		begun := time.Now()
		client := newClient(t, "https://slashid.test", func(cfg *Config) { cfg.ConnectionAge = age })
		connectPeer(t, client, overTLS(certificate(), "h2", func(c *peerConn) {
			made, n := time.Since(begun), 0
			for stream := range c.requests() {
				switch {
				case made < age: // every other answer is slow
					n++
					time.AfterFunc(time.Duration(n%2)*time.Minute, func() { c.answer(stream, http.StatusNoContent) })
				case made < age+silentAfter: // is stuck
				default:
					c.answer(stream, http.StatusNoContent)
				}
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		for time.Since(begun) <= age+silentAfter {
			calls.Go(func() { client.Revoke(ctx, aRequest()) })
			time.Sleep(time.Second)
		}
		checkRevoked(t, revoke(t, client, aRequest()))
		cancel()
		calls.Wait()
	})
}

// SlashID answers within the timeout that it is given. So requests that time out are a
// reason to leave a connection even while others on it are answered.
func TestConnectionWithTimeoutsIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, "h2", firstOnly(func(c *peerConn) {
			n := 0
			for stream := range c.requests() {
				if n++; n%2 == 1 {
					c.answer(stream, http.StatusNoContent)
				}
			}
		}))
		for range maxTimeouts {
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, 1)
			ctx, cancel := context.WithTimeout(t.Context(), doubtAfter-time.Second)
			checkNoAnswer(t, client.Revoke(ctx, aRequest()), true)
			cancel()
		}
		for range 2 {
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, 2)
		}
	})
}

// A silent peer gets a ping. One that does not answer it is dead; one that does has all
// the time that the context allows.
func TestSilentPeer(t *testing.T) {
	inBubbles(t, map[string]bool{"dead": false, "alive": true}, func(t *testing.T, alive bool) {
		const late = 2 * time.Minute
		client, _ := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() { // which answers pings
				time.AfterFunc(late, func() { c.answer(stream, http.StatusNoContent) })
				if !alive {
					break
				}
			}
			c.waitForClose()
		})
		begun, want := time.Now(), late
		got := client.Revoke(t.Context(), aRequest())
		if alive {
			checkRevoked(t, got)
		} else {
			checkNoAnswer(t, got, true)
			want = pingAfter + pingTimeout
		}
		if took := time.Since(begun); took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// A healthy connection serves all requests until it has its age, and those in flight
// then. After them it is closed.
func TestConnectionAge(t *testing.T) {
	overBoth(t, map[string]time.Duration{"by default": 0, "as configured": 2 * time.Minute}, func(t *testing.T, protocol string, age time.Duration) {
		const late = time.Minute // comes the 30th answer
		client := newClient(t, "https://slashid.test", func(cfg *Config) { cfg.ConnectionAge = age })
		age = cmp.Or(age, DefaultConnectionAge)
		peer := connectPeer(t, client, overTLS(certificate(), protocol, firstOnly(func(c *peerConn) {
			n := 0
			for stream := range c.requests() {
				n++
				time.AfterFunc(time.Duration(n/30)*late, func() { c.answer(stream, http.StatusNoContent) })
			}
		})))
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
		peer.scripts.Wait() // ends with the connections
		if got, most := time.Since(begun), late+idleTimeout; got > most {
			t.Errorf("the connections closed after %v, want at most %v", got, most)
		}
	})
}

// A request that wants a connection of its own gets it, and those after it share it.
// What is in flight on the earlier ones is left alone.
func TestNewConnection(t *testing.T) {
	overEach(t, func(t *testing.T, protocol string) {
		client, peer := newPeer(t, protocol, firstOnly(func(c *peerConn) {
			for stream := range c.requests() {
				time.Sleep(time.Second)
				c.answer(stream, http.StatusNoContent)
			}
		}))
		inFlight := begin(t, client)
		req := aRequest()
		req.NewConnection = true
		for n := 2; n < 5; n++ {
			checkRevoked(t, revoke(t, client, req))
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, n)
		}
		checkRevoked(t, <-inFlight)
	})
}

// The authorities can change. From then on they decide about every request, those that
// an idle connection could take included.
func TestRootCAsChange(t *testing.T) {
	overEach(t, func(t *testing.T, protocol string) {
		certificates := []tls.Certificate{newCertificate(), newCertificate()}
		pools := []*x509.CertPool{poolOf(certificates[0]), poolOf(certificates[1])}
		own, trusted := 0, 0
		client := newClient(t, "https://slashid.test", func(cfg *Config) {
			cfg.RootCAs = func() *x509.CertPool { return pools[trusted] }
		})
		peer := connectPeer(t, client, func(c *peerConn) {
			overTLS(certificates[own], protocol, answering(http.StatusNoContent))(c)
		})
		checkRevoked(t, revoke(t, client, aRequest()))
		own = 1
		checkRevoked(t, revoke(t, client, aRequest())) // on the connection that is there
		peer.checkConnections(t, 1)
		trusted = 1
		checkRevoked(t, revoke(t, client, aRequest()))
		checkRevoked(t, revoke(t, client, aRequest()))
		peer.checkConnections(t, 2)
		trusted = 0
		checkNoAnswer(t, revoke(t, client, aRequest()), false)
	})
}

// revokeAtOnce makes n requests at a time.
func revokeAtOnce(t *testing.T, client *Client, n int) {
	t.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() { checkRevoked(t, client.Revoke(t.Context(), aRequest())) })
	}
	calls.Wait()
}

// A burst makes few connections at a time over HTTP/2, so that requests find room on
// them.
func TestBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, "h2", answering(http.StatusNoContent))
		var dialing, most atomic.Int32
		client.dialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			most.Store(max(most.Load(), dialing.Add(1)))
			defer dialing.Add(-1)
			time.Sleep(time.Second / 10)
			return peer.dial(ctx, network, addr)
		})
		revokeAtOnce(t, client, 100)
		if made := len(peer.conns); most.Load() != maxConnectingHTTP2 || made > 10 {
			t.Errorf("%d connections were made, %d at a time, want at most 10, %d at a time", made, most.Load(), maxConnectingHTTP2)
		}
	})
}

// Over HTTP/1.1, once that is known, a burst makes more connections at a time: each
// request needs one. This runs outside of a bubble: the race detector does not bear so
// many goroutines in one (golang/go#78156).
func TestBurstOverHTTP1(t *testing.T) {
	t.Parallel()
	client, peer := newPeer(t, "http/1.1", answering(http.StatusNoContent))
	revokeAtOnce(t, client, 1)
	var waiting sync.WaitGroup
	waiting.Add(maxConnectingHTTP1)
	var dials atomic.Int32
	var made atomic.Bool
	client.dialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		switch {
		case dials.Add(1) <= maxConnectingHTTP1:
			waiting.Done()
			waiting.Wait() // or fewer connections than that would be enough for all
			made.Store(true)
		case !made.Load():
			t.Errorf("more than %d connections are made at a time", maxConnectingHTTP1)
		}
		return peer.dial(ctx, network, addr)
	})
	revokeAtOnce(t, client, maxConnectingHTTP1+50)
}

// A peer that takes connections and no requests does not have the client dial without end.
func TestPeerThatTakesNoRequests(t *testing.T) {
	inBubbles(t, map[string]func(*peerConn){
		"closes at once":            func(*peerConn) {},
		"says nothing":              (*peerConn).waitForClose,
		"closes after its settings": overTLS(certificate(), "h2", func(*peerConn) {}),
		"goes away after its settings": overTLS(certificate(), "h2", func(c *peerConn) {
			_ = c.frames().WriteGoAway(0, 0, nil)
			c.waitForClose()
		}),
	}, func(t *testing.T, script func(*peerConn)) {
		client := newClient(t, "https://slashid.test")
		peer := connectPeer(t, client, script)
		client.dialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Millisecond)
			return peer.dial(ctx, network, addr)
		})
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if got := client.Revoke(ctx, aRequest()); got.Status != 0 || got.Err == nil {
				t.Errorf("got %+v", got)
			}
			cancel()
		}
		time.Sleep(3 * dialTimeout) // until the last dials have ended
		if dials := len(peer.conns); dials > 200 {
			t.Errorf("%d connections were made for 5 requests", dials)
		}
	})
}
