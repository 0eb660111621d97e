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

// A connection is replaced if it brings no response, or only responses that a proxy or another
// server may have sent. A response of SlashID, such as a 401, shows that the connection works.
// One every few seconds is enough, and so are slow responses over earlier connections. Requests
// on a replaced connection still get their response if it comes.
func TestConnectionWithoutGoodAnswersIsReplaced(t *testing.T) {
	type answers struct {
		statuses []int // sent in turn
		late     time.Duration
		always   bool // on every connection, not only on the first
		replaced bool
	}
	cases := map[string]answers{
		"nothing yet":             {[]int{204}, time.Minute, false, true},
		"slow":                    {[]int{204}, 2*doubtAfter - time.Second, true, true}, // once, because the first response comes after doubtAfter
		"a good one now and then": {[]int{503, 503, 503, 204}, 0, false, false},
	}
	for _, status := range []int{500, 502, 503, 504, 400, 404, 408} {
		cases[strconv.Itoa(status)] = answers{statuses: []int{status}, replaced: true}
	}
	for _, status := range []int{204, 401, 403, 429} {
		cases[strconv.Itoa(status)] = answers{statuses: []int{status}}
	}
	overBoth(t, cases, func(t *testing.T, protocol string, tt answers) {
		if tt.late > 0 && protocol == "http/1.1" {
			return // each request has its own connection
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
			if tt.replaced && time.Since(begun) > doubtAfter {
				want = 2
			}
			results = append(results, begin(t, client))
			peer.checkConnections(t, want)
		}
		for i, result := range results {
			if got := <-result; got.Status == 0 || i > int(doubtAfter/time.Second) && tt.replaced && got.Status != http.StatusNoContent {
				t.Errorf("request %d: %+v", i+1, got)
			}
		}
	})
}

// A connection without responses is replaced even if slow responses come over earlier ones.
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
				case made < age: // every other response is slow
					n++
					time.AfterFunc(time.Duration(n%2)*time.Minute, func() { c.answer(stream, http.StatusNoContent) })
				case made < age+silentAfter: // the connection is stuck
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

// SlashID answers within the timeout of a request. So requests that time out are a reason to
// replace a connection, even if others on it are answered.
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

// A peer without traffic is sent a ping. If it does not answer, the connection is closed. If it
// does, a request may take as long as its context allows.
func TestSilentPeer(t *testing.T) {
	inBubbles(t, map[string]bool{"dead": false, "alive": true}, func(t *testing.T, alive bool) {
		const late = 2 * time.Minute
		client, _ := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() { // requests answers pings
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

// A healthy connection serves all requests until it reaches ConnectionAge. It is closed after
// the requests that are in flight then.
func TestConnectionAge(t *testing.T) {
	overBoth(t, map[string]time.Duration{"by default": 0, "as configured": 2 * time.Minute}, func(t *testing.T, protocol string, age time.Duration) {
		const late = time.Minute // delay of the 30th response
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
		peer.scripts.Wait() // they end with the connections
		if got, most := time.Since(begun), late+idleTimeout; got > most {
			t.Errorf("the connections closed after %v, want at most %v", got, most)
		}
	})
}

// A request with NewConnection gets a new connection, and later requests share it. Requests in
// flight on earlier connections are not affected.
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

// When the authorities change, they apply to every new request, also if an idle connection is
// available.
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
		checkRevoked(t, revoke(t, client, aRequest())) // on the existing connection
		peer.checkConnections(t, 1)
		trusted = 1
		checkRevoked(t, revoke(t, client, aRequest()))
		checkRevoked(t, revoke(t, client, aRequest()))
		peer.checkConnections(t, 2)
		trusted = 0
		checkNoAnswer(t, revoke(t, client, aRequest()), false)
	})
}

// revokeAtOnce sends n requests at the same time.
func revokeAtOnce(t *testing.T, client *Client, n int) {
	t.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() { checkRevoked(t, client.Revoke(t.Context(), aRequest())) })
	}
	calls.Wait()
}

// Over HTTP/2 a burst opens few connections at a time, so that requests can share them.
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

// Over HTTP/1.1, once the client knows the protocol, a burst opens more connections at a time,
// because each request needs one. The test does not run in a bubble, because the race detector
// fails with so many goroutines in one (golang/go#78156).
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
			waiting.Wait() // otherwise fewer connections would be enough for all
			made.Store(true)
		case !made.Load():
			t.Errorf("more than %d connections are made at a time", maxConnectingHTTP1)
		}
		return peer.dial(ctx, network, addr)
	})
	revokeAtOnce(t, client, maxConnectingHTTP1+50)
}

// If a peer accepts connections but no requests, the client does not dial without limit.
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
		time.Sleep(3 * dialTimeout) // wait for the last dials to end
		if dials := len(peer.conns); dials > 200 {
			t.Errorf("%d connections were made for 5 requests", dials)
		}
	})
}
