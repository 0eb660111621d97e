package slashid_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// A connection on which nothing is answered is left. What was sent on it is answered if
// its answer comes.
func TestConnectionWithoutAnswersIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const late = time.Minute
		client, peer := newPeer(t, "h2", firstOnly(func(c *peerConn) {
			for stream := range c.requests() {
				time.AfterFunc(late, func() { c.answer(stream, http.StatusNoContent) })
			}
		}))
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
// is left, too. An answer of SlashID's, such as a refusal, is a sign that it works, and one
// every few seconds is enough.
func TestConnectionWithoutGoodAnswersIsLeft(t *testing.T) {
	overBoth(t, map[string]bool{
		"500": true, "502": true, "503": true, "504": true, "400": true, "404": true, "408": true,
		"204": false, "401": false, "403": false, "429": false, "503 503 503 204": false,
	}, func(t *testing.T, protocol string, left bool) {
		var statuses []int
		for _, word := range strings.FieldsFunc(t.Name(), func(r rune) bool { return r == '_' })[1:] {
			status, _ := strconv.Atoi(word)
			statuses = append(statuses, status)
		}
		client, peer := newPeer(t, protocol, firstOnly(func(c *peerConn) {
			n := 0
			for stream := range c.requests() {
				c.answer(stream, statuses[n%len(statuses)])
				n++
			}
		}))
		want := 1
		for begun := time.Now(); time.Since(begun) < 5*slashid.DoubtAfter; time.Sleep(time.Second) {
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

// A SlashID that is slow is not stuck: its answers, over whichever connection, are a
// reason to use the present ones.
func TestSlowAnswersAreNoReasonForNewConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, peer := newPeer(t, "h2", func(c *peerConn) {
			for stream := range c.requests() {
				time.AfterFunc(2*slashid.DoubtAfter, func() { c.answer(stream, http.StatusNoContent) })
			}
		})
		var calls sync.WaitGroup
		for range 120 {
			calls.Go(func() { checkRevoked(t, revoke(t, client, aRequest())) })
			time.Sleep(time.Second)
		}
		calls.Wait()
		peer.checkConnections(t, 2) // the first answer comes after the first doubt
	})
}

// A connection that answers nothing is left also while slow answers come over earlier
// ones.
func TestSilentConnectionIsLeftWhileOthersAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age = 2 * time.Minute
		begun := time.Now()
		client := newClient(t, "https://slashid.test", func(cfg *slashid.Config) { cfg.ConnectionAge = age })
		connectPeer(t, client, overTLS(certificate(), "h2", func(c *peerConn) {
			made, n := time.Since(begun), 0
			for stream := range c.requests() {
				switch {
				case made < age: // every other answer is slow
					n++
					time.AfterFunc(time.Duration(n%2)*time.Minute, func() { c.answer(stream, http.StatusNoContent) })
				case made < age+slashid.SilentAfter: // is stuck
				default:
					c.answer(stream, http.StatusNoContent)
				}
			}
		}))
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
		for range slashid.MaxTimeouts {
			checkRevoked(t, revoke(t, client, aRequest()))
			peer.checkConnections(t, 1)
			ctx, cancel := context.WithTimeout(t.Context(), slashid.DoubtAfter-time.Second)
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
			want = slashid.PingAfter + slashid.PingTimeout
		}
		if took := time.Since(begun); took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// A healthy connection serves all requests until it has its age, and those in flight
// then. After them it is closed.
func TestConnectionAge(t *testing.T) {
	overBoth(t, map[string]time.Duration{"by default": slashid.DefaultConnectionAge, "as configured": 2 * time.Minute}, func(t *testing.T, protocol string, age time.Duration) {
		const late = time.Minute // comes the 30th answer
		client := newClient(t, "https://slashid.test", func(cfg *slashid.Config) {
			if age != slashid.DefaultConnectionAge {
				cfg.ConnectionAge = age
			}
		})
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
		if got, most := time.Since(begun), late+slashid.IdleTimeout; got > most {
			t.Errorf("the connections closed after %v, want at most %v", got, most)
		}
	})
}

// A request that wants a connection of its own gets it, and those after it share it.
// What is in flight on the earlier ones is left alone.
func TestNewConnection(t *testing.T) {
	overBoth(t, map[string]time.Duration{"": time.Second}, func(t *testing.T, protocol string, late time.Duration) {
		client, peer := newPeer(t, protocol, firstOnly(func(c *peerConn) {
			for stream := range c.requests() {
				time.Sleep(late)
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
	overBoth(t, map[string]int{"": 0}, func(t *testing.T, protocol string, _ int) {
		certificates := []tls.Certificate{newCertificate(), newCertificate()}
		pools := []*x509.CertPool{poolOf(certificates[0]), poolOf(certificates[1])}
		own, trusted := 0, 0
		client := newClient(t, "https://slashid.test", func(cfg *slashid.Config) {
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

// A burst makes few connections at a time over HTTP/2, so that requests find room on
// them. Over HTTP/1.1, once that is known, it makes more.
func TestBurst(t *testing.T) {
	overBoth(t, map[string]int{"": 300}, func(t *testing.T, protocol string, burst int) {
		var mu sync.Mutex
		dialing, most, made := 0, 0, 0
		client, peer := newPeer(t, protocol, func(c *peerConn) {
			for stream := range c.requests() {
				if protocol == "http/1.1" {
					time.Sleep(10 * time.Second)
				}
				c.answer(stream, http.StatusNoContent)
			}
		})
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			count := func(n int) {
				mu.Lock()
				defer mu.Unlock()
				dialing += n
				most, made = max(most, dialing), made+max(n, 0)
			}
			count(1)
			defer count(-1)
			time.Sleep(time.Second / 10)
			return peer.dial(ctx, network, addr)
		})
		var calls sync.WaitGroup
		for range burst {
			calls.Go(func() { checkRevoked(t, client.Revoke(t.Context(), aRequest())) })
		}
		calls.Wait()
		want, wantMade := slashid.MaxConnectingHTTP2, 10
		if protocol == "http/1.1" {
			want, wantMade = slashid.MaxConnectingHTTP1, burst
		}
		if most != want || made > wantMade {
			t.Errorf("%d connections were made, %d at a time, want at most %d, %d at a time", made, most, wantMade, want)
		}
	})
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
		dials := 0
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Millisecond)
			dials++
			return peer.dial(ctx, network, addr)
		})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if got := client.Revoke(ctx, aRequest()); got.Status != 0 || got.Err == nil {
				t.Errorf("got %+v", got)
			}
			cancel()
		}
		time.Sleep(3 * slashid.DialTimeout) // until the last dials have ended
		if dials > 100 {
			t.Errorf("%d connections were made for 20 requests", dials)
		}
	})
}
