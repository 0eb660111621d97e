package slashid_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/quashdev/quash/service/slashid"
)

// newOneConnection returns a client whose peer takes one connection. Others hang until
// more is closed.
func newOneConnection(t *testing.T, script func(*peerConn)) (client *slashid.Client, p *peer, more chan struct{}) {
	t.Helper()
	client, p = newPeer(t, script)
	more = make(chan struct{})
	limitDials(client, p, more)
	return client, p, more
}

func limitDials(client *slashid.Client, p *peer, more chan struct{}) {
	var dials atomic.Int32
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			select {
			case <-more:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return p.dial(ctx, network, addr)
	})
}

// A request that is given up while Commit is asked ends with its connection. Whoever
// waits does not get that.
func TestWhoWaitsGetsNoConnectionThatIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _, more := newOneConnection(t, func(c *peerConn) { c.answerEach(revoked) })
		attempt, second := make(chan *slashid.Attempt, 1), make(chan struct{})
		req := aRequest()
		req.Commit = func() bool {
			<-second
			(<-attempt).GiveUp(slashid.Cancelled)
			return true
		}
		attempt <- client.Begin(t.Context(), req)
		synctest.Wait()
		waits := client.Begin(t.Context(), aRequest())
		close(second)
		synctest.Wait()
		if isOver(waits) {
			t.Errorf("got %+v", waits.Result())
		}
		close(more)
		wantAll(t, []*slashid.Attempt{waits}, slashid.Revoked)
	})
}

// onEnd is called when a span ends.
type onEnd struct {
	sdktrace.SpanProcessor

	call func()
}

func (o onEnd) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (o onEnd) OnEnd(sdktrace.ReadOnlySpan)                     { o.call() }

// A request that is given up as its answer comes leaves the connection to the next one,
// if that has it by then.
func TestGivingUpLeavesTheNextRequestAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, reused := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		first.Store(true)
		spans := onEnd{call: func() {
			if first.Swap(false) {
				<-reused // between "it has ended" and "its connection is not wanted"
			}
		}}
		u, err := slashid.ParseBaseURL("http://slashid.test")
		if err != nil {
			t.Fatal(err)
		}
		client := slashid.New(slashid.Config{BaseURL: u, Telemetry: slashid.Telemetry{
			Tracers: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		}})
		t.Cleanup(client.Close)
		p := &peer{script: func(c *peerConn) {
			c.readRequest()
			<-gate
			c.answer(revoked)
			c.readRequest()
			close(reused)
			<-gate
			c.answer(revoked)
			c.waitForClose()
		}}
		t.Cleanup(p.close)
		client.DialThrough(p.dial)
		given := client.Begin(t.Context(), aRequest())
		synctest.Wait()
		go given.GiveUp(slashid.Cancelled)
		synctest.Wait()
		gate <- struct{}{}
		synctest.Wait()
		next := client.Begin(t.Context(), aRequest())
		synctest.Wait()
		close(gate)
		wantAll(t, []*slashid.Attempt{given}, slashid.Cancelled)
		wantAll(t, []*slashid.Attempt{next}, slashid.Revoked)
	})
}

// What comes after an answer answers nobody. Here a request waits for the connection,
// and the second answer is there before it is sent: it must not be taken for its own.
func TestAnswerThatIsTooMuch(t *testing.T) {
	t.Parallel()
	// As long as what is read at a time, so that the rest stays with the kernel.
	head := "HTTP/1.1 204 No Content\nX: \n\n"
	long := strings.Replace(head, "X: ", "X: "+strings.Repeat("x", 4096-len(head)-strings.Count(head, "\n")), 1)
	begun := make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAll(t, listener, func(c *peerConn) {
		for n := 0; c.readRequest() != nil; n++ {
			if c.number == 1 && n == 0 {
				<-begun
				c.answer(long + revoked)
				continue
			}
			c.answer("HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n")
		}
	})
	client := newClient(t, "http://"+listener.Addr().String(), nil)
	more := make(chan struct{})
	var dials atomic.Int32
	client.DialThrough(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			<-more
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	first := client.Begin(t.Context(), aRequest())
	second := client.Begin(t.Context(), aRequest())
	close(begun)
	wantAll(t, []*slashid.Attempt{first}, slashid.Revoked)
	close(more)
	wantAll(t, []*slashid.Attempt{second}, slashid.Unavailable)
}

// An answer that cannot have a body but speaks of one leaves the next answer in doubt.
func TestConnectionIsNotUsedAfterAnOddAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		reused bool
	}{
		{"HTTP/1.1 204 No Content\n\n", true},
		{"HTTP/1.1 204 No Content\nContent-Length: 0\n\n", true},
		{"HTTP/1.1 204 No Content\nContent-Length: 27\n\n", false},
		{"HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n\n", false},
		{"HTTP/1.1 304 Not Modified\nContent-Length: 27\n\n", false},
		{"HTTP/1.1 204 No Content\nConnection: close\n\n", false},
		{"HTTP/1.0 204 No Content\n\n", false},
		{"HTTP/1.0 503 Unavailable\nConnection: keep-alive\nContent-Length: 1\n\nx", true},
		{"HTTP/1.1 503 Unavailable\nContent-Length: 1\n\nxHTTP", false},
		{"HTTP/1.1 503 Unavailable\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n", true},
		{"HTTP/1.1 503 Unavailable\nTransfer-Encoding: chunked\n\n1\nx\n0\nA: b\n\n", true},
		{"HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\n\nHTTP/1.1 204 No Content\n\n", true},
		{"HTTP/1.1 101 Switching Protocols\nUpgrade: x\n\n", false},
	} {
		t.Run(fmt.Sprintf("%.60q", tt.answer), func(t *testing.T) {
			t.Parallel()
			client, peer := newPeer(t, func(c *peerConn) { c.answerEach(tt.answer) })
			first, second := revoke(t, client, aRequest()), revoke(t, client, aRequest())
			if first.Status == 0 || second.Kind != first.Kind {
				t.Errorf("got %+v, then %+v", first, second)
			}
			if got := peer.connections() == 1; got != tt.reused {
				t.Errorf("%d connections", peer.connections())
			}
		})
	}
}

// A peer that informs for ever, or whose head never ends, is not listened to for ever.
func TestEndlessHead(t *testing.T) {
	t.Parallel()
	for name, piece := range map[string]string{
		"informational answers": "HTTP/1.1 103 Early Hints\nLink: x\n\n",
		"one header":            strings.Repeat("x", 1000),
		"headers":               "A: " + strings.Repeat("x", 1000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newPeer(t, func(c *peerConn) {
				c.readRequest()
				if name != "informational answers" {
					c.answer("HTTP/1.1 204 No Content\n")
				}
				for c.answer(piece) {
				}
			})
			checkNoAnswer(t, revoke(t, client, aRequest()), slashid.ConnectionLost, true)
		})
	}
}

// gathering is a connection on which what is written can be made to come at once.
type gathering struct {
	net.Conn

	held bool
	data []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	if !g.held {
		return g.Conn.Write(p)
	}
	g.data = append(g.data, p...)
	return len(p), nil
}

func (g *gathering) flush() { _, _ = g.Conn.Write(g.data) }

// An answer that nobody has asked for is not the next one's either where TLS has read it
// together with the one before.
func TestSurplusAnswerInTheBufferOfTLS(t *testing.T) {
	t.Parallel()
	p := &peer{script: func(c *peerConn) {
		raw := &gathering{Conn: c.Conn}
		c.Conn = raw
		overTLS("http/1.1", func(c *peerConn) {
			if c.number > 1 {
				c.answerEach("HTTP/1.1 503 Service Unavailable\nContent-Length: 0\n\n")
				return
			}
			c.readRequest()
			raw.held = true
			c.answer(revoked)
			c.answer(revoked)
			raw.flush()
			c.waitForClose()
		})(c)
	}}
	client := newClient(t, "https://slashid.test", slashidTestCAs())
	client.DialThrough(p.dial)
	t.Cleanup(p.close)
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Revoked {
		t.Fatalf("the first: %+v", got)
	}
	if got := revoke(t, client, aRequest()); got.Kind != slashid.Unavailable {
		t.Errorf("the second: %+v", got)
	}
}
