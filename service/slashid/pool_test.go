package slashid_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

// hang is a dial that ends with its context.
func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// isOver reports whether an attempt has ended.
func isOver(a *slashid.Attempt) bool {
	select {
	case <-a.Done():
		return true
	default:
		return false
	}
}

// As many connections as the requests need: one until the peer has said how many
// requests it takes, then no more than those left over fill.
func TestDialsNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ requests, limit, want int }{
		{1, 10, 1},
		{9, 10, 1},
		{10, 10, 1},
		{11, 10, 2},
		{20, 10, 2},
		{95, 10, 10},
		{7, 1, 7},
		{slashid.MaxStreams, 1_000_000, 1},
		{slashid.MaxStreams + 1, 1_000_000, 2},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.requests, tt.limit), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer := make(chan struct{})
				client, peer := newFramePeer(t, func(p *framePeer) {
					if !p.greet(streams(uint32(tt.limit))) {
						return
					}
					var open []uint32
					go func() {
						<-answer
						_ = p.Close()
					}()
					for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
						open = append(open, stream)
						if len(open) > tt.limit {
							t.Errorf("%d requests at a time, of %d", len(open), tt.limit)
						}
					}
				})
				gate := make(chan struct{})
				client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
					<-gate
					return peer.dial(ctx, network, addr)
				})
				all := beginAll(t, client, tt.requests)
				synctest.Wait()
				close(gate)
				synctest.Wait()
				if got := peer.connections(); got != tt.want {
					t.Errorf("%d connections, want %d", got, tt.want)
				}
				if queued, busy := client.Load(); queued != 0 || busy != tt.requests {
					t.Errorf("%d wait and %d are under way", queued, busy)
				}
				close(answer)
				wantAll(t, all, slashid.ConnectionLost)
			})
		})
	}
}

// HTTP/1.1 takes one request a connection, and its connections are used again.
func TestHTTP1ConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		client, peer := newPeer(t, func(c *peerConn) {
			for c.readRequest() != nil {
				<-answer
				c.answer(revoked)
			}
		})
		all := beginAll(t, client, 10)
		synctest.Wait()
		if got := peer.connections(); got != 10 {
			t.Errorf("%d connections for 10 requests", got)
		}
		close(answer)
		wantAll(t, all, slashid.Revoked)
		wantAll(t, beginAll(t, client, 10), slashid.Revoked)
		if got := peer.connections(); got != 10 {
			t.Errorf("%d connections for 10 requests at a time", got)
		}
	})
}

// Who waits for a dial that fails is told. Who comes later has another one made.
func TestFailedDial(t *testing.T) {
	t.Parallel()
	client, peer := newFramePeer(t, func(p *framePeer) {
		if p.greet() {
			p.revokeEach()
		}
	})
	gate := make(chan struct{})
	var dials atomic.Int32
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			return peer.dial(ctx, network, addr)
		}
		<-gate
		return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
	})
	all := beginAll(t, client, 10)
	close(gate)
	wantAll(t, all, slashid.NotConnected)
	wantAll(t, beginAll(t, client, 1), slashid.Revoked)
	if got := dials.Load(); got != 2 {
		t.Errorf("%d dials", got)
	}
}

// A dial whose waiters have gone goes on for those that come.
func TestDialServesWhoComesLater(t *testing.T) {
	t.Parallel()
	for protocol, script := range revokingEach {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, peer := newTLSPeer(t, protocol, script)
				gate := make(chan struct{})
				client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
					<-gate
					return peer.dial(ctx, network, addr)
				})
				first := client.Begin(t.Context(), aRequest())
				first.GiveUp(slashid.Cancelled)
				second := client.Begin(t.Context(), aRequest())
				second.GiveUp(slashid.NoAnswer)
				checkNoAnswer(t, first.Result(), slashid.Cancelled, false)
				checkNoAnswer(t, second.Result(), slashid.NoAnswer, false)
				close(gate)
				synctest.Wait()
				wantAll(t, beginAll(t, client, 1), slashid.Revoked)
				if got := peer.connections(); got != 1 {
					t.Errorf("%d connections", got)
				}
			})
		})
	}
}

// While a dial hangs, the connections that are there go on, and slots that become free
// go to who waits.
func TestRequestsGoOnWhileADialHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		client := newUnreachable(t)
		var order []uint32
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet(streams(1)) {
				return
			}
			for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
				order = append(order, stream)
				<-next
				p.revoked(stream)
			}
		})
		all := beginAll(t, client, 5)
		for i := range all {
			synctest.Wait()
			for j, a := range all {
				if isOver(a) != (j < i) {
					t.Errorf("after %d answers request %d: over is %t", i, j, isOver(a))
				}
			}
			next <- struct{}{}
		}
		wantAll(t, all, slashid.Revoked)
		wantNoLoad(t, client)
	})
}

// Requests are spread over the connections: as few as can be are lost with one.
func TestRequestsAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		var got [4]atomic.Int32
		for i := range got {
			shareFramePeer(t, client, func(p *framePeer) {
				if !p.greet() {
					return
				}
				for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
					got[i].Add(1)
				}
			})
		}
		all := beginAll(t, client, 40)
		synctest.Wait()
		for i := range got {
			if n := got[i].Load(); n != 10 {
				t.Errorf("connection %d has %d of 40", i, n)
			}
		}
		for _, a := range all {
			a.GiveUp(slashid.Cancelled)
		}
		synctest.Wait()
		wantNoLoad(t, client)
	})
}

// Against a peer that takes connections and no requests nobody dials for ever.
func TestPeerThatTakesNoRequests(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*framePeer){
		"closes at once":     func(*framePeer) {},
		"allows no requests": func(p *framePeer) { p.greet(streams(0)) },
		"closes after its settings": func(p *framePeer) {
			p.greet()
		},
		"goes away after its settings": func(p *framePeer) {
			if p.greet() {
				_ = p.WriteGoAway(0, 0, nil)
				p.drain()
			}
		},
		"says nothing": func(p *framePeer) { p.drain() },
		"says something else": func(p *framePeer) {
			p.answer("HTTP/1.1 400 Bad Request\n\n")
			p.drain()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, peer := newFramePeer(t, script)
				client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
					if peer.connections() == 100 {
						return hang(ctx, network, addr)
					}
					return peer.dial(ctx, network, addr)
				})
				for _, a := range beginAll(t, client, 20) {
					select {
					case <-a.Done():
						if k := a.Result().Kind; k != slashid.NotConnected && k != slashid.ConnectionLost {
							t.Errorf("got %+v", a.Result())
						}
					case <-time.After(patience):
						t.Fatal("it does not end")
					}
				}
				if got := peer.connections(); got > 10 {
					t.Errorf("%d connections", got)
				}
			})
		})
	}
}

// Who waits is told when the client closes, however many they are.
func TestCloseTellsWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hanging atomic.Bool
		client, peer := newPeer(t, func(c *peerConn) { c.answerEach(revoked) })
		client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hanging.Load() {
				return hang(ctx, network, addr)
			}
			return peer.dial(ctx, network, addr)
		})
		wantAll(t, beginAll(t, client, 1), slashid.Revoked)
		hanging.Store(true)
		peer.close()
		all := beginAll(t, client, 3*slashid.MaxDials)
		synctest.Wait()
		client.Close()
		wantAll(t, all, slashid.NotConnected)
		wantAll(t, beginAll(t, client, 1), slashid.NotConnected)
	})
}

// Close ends what nobody uses at once, and what is used with its requests.
func TestCloseWithRequestsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		answer, closed := make(chan struct{}), make(chan struct{})
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			stream, _ := p.request()
			<-answer
			p.revoked(stream)
			p.drain()
			close(closed)
		})
		all := beginAll(t, client, 1)
		synctest.Wait()
		client.Close()
		synctest.Wait()
		close(answer)
		wantAll(t, all, slashid.Revoked)
		<-closed
	})
}

// Close does not wait for a connection that is being made, in whatever state it is.
func TestCloseWhileConnecting(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*peerConn){
		"shaking hands": (*peerConn).waitForClose,
		"greeting":      overTLS("h2", (*peerConn).waitForClose),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := newTLSPeer(t, "h2", nil)
				peer := &peer{script: script}
				t.Cleanup(peer.close)
				client.DialThrough(peer.dial)
				all := beginAll(t, client, 1)
				synctest.Wait()
				begun := time.Now()
				client.Close()
				peer.scripts.Wait()
				wantAll(t, all, slashid.NotConnected)
				if took := time.Since(begun); took > 0 {
					t.Errorf("the connection was closed after %v", took)
				}
			})
		})
	}
}

// Connections that nobody needs are not kept for ever.
func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	for protocol, script := range revokingEach {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, peer := newTLSPeer(t, protocol, script)
				wantAll(t, beginAll(t, client, 1), slashid.Revoked)
				time.Sleep(slashid.IdleTimeout - time.Second)
				wantAll(t, beginAll(t, client, 1), slashid.Revoked)
				if got := peer.connections(); got != 1 {
					t.Errorf("%d connections", got)
				}
				begun := time.Now()
				peer.scripts.Wait() // ends with the connection
				if idle := time.Since(begun); idle < slashid.IdleTimeout || idle > 3*slashid.IdleTimeout/2 {
					t.Errorf("it was closed after %v", idle)
				}
			})
		})
	}
}
