package slashid_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/quashdev/quash/service/slashid"
)

// longRequest is one of which a connection's buffers hold few.
func longRequest() slashid.Request {
	req := aRequest()
	req.Token = slashid.NewSecret(strings.Repeat("t", 4<<10))
	return req
}

// A connection that breaks while requests are written ends those that it has begun.
// The others find another.
func TestConnectionBreaksWhileRequestsAreWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		gate := make(chan struct{})
		shareFramePeer(t, client, func(p *framePeer) {
			if p.greet() {
				<-gate // meanwhile requests pile up
				p.request()
				p.request()
			}
		})
		all := make([]*slashid.Attempt, 50)
		for i := range all {
			all[i] = client.Begin(t.Context(), longRequest())
			synctest.Wait()
		}
		close(gate)
		synctest.Wait()
		lost := 0
		for _, a := range all {
			if isOver(a) {
				checkNoAnswer(t, a.Result(), slashid.ConnectionLost, true)
				lost++
			}
		}
		queued, _ := client.Load()
		if lost < 2 || lost == len(all) || lost+queued != len(all) {
			t.Fatalf("%d of %d are lost, %d wait for another connection", lost, len(all), queued)
		}
		shareFramePeer(t, client, func(p *framePeer) {
			if p.greet() {
				p.revokeEach()
			}
		})
		synctest.Wait()
		for i, a := range all {
			if !isOver(a) {
				t.Errorf("request %d does not end", i)
			}
		}
		wantNoLoad(t, client)
	})
}

// What a peer takes at a time holds for all that is begun after it has been told that
// this is known. When it takes more again, it gets more.
func TestPeerTakesFewerRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		gate, more := make(chan struct{}), make(chan struct{})
		var open []uint32
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet(streams(100)) {
				return
			}
			<-gate
			_ = p.WriteSettings(streams(2))
			go func() {
				<-more
				_ = p.aside().WriteSettings(streams(5))
			}()
			for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
				open = append(open, stream)
			}
		})
		all := make([]*slashid.Attempt, 20)
		for i := range all {
			all[i] = client.Begin(t.Context(), aRequest())
			synctest.Wait() // the first is being written, the others wait behind it
		}
		close(gate)
		synctest.Wait()
		if len(open) != 2 {
			t.Errorf("%d requests are open, of 2", len(open))
		}
		close(more)
		synctest.Wait()
		if len(open) != 5 {
			t.Errorf("%d requests are open, of 5", len(open))
		}
		for _, a := range all {
			a.GiveUp(slashid.Cancelled)
		}
		synctest.Wait()
		wantNoLoad(t, client)
	})
}

// A request whose peer takes no more of it is forgotten when nobody wants it any more.
func TestBlockedRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		shareFramePeer(t, client, func(p *framePeer) {
			if p.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) {
				p.drain()
			}
		})
		for range 3 {
			all := beginAll(t, client, 100)
			synctest.Wait()
			if got := client.Blocked(); got != 100 {
				t.Errorf("%d requests wait for their peer, of 100", got)
			}
			for _, a := range all {
				a.GiveUp(slashid.NoAnswer)
				checkNoAnswer(t, a.Result(), slashid.NoAnswer, true)
			}
			synctest.Wait()
			if got := client.Blocked(); got != 0 {
				t.Errorf("%d requests that nobody wants are kept", got)
			}
		}
		wantNoLoad(t, client)
	})
}

// A request arrives whole however little of it its peer takes at a time: of a stream,
// of the connection, or after it has taken back what it had allowed. The stream of a
// whole request is not reset.
func TestFlowControl(t *testing.T) {
	t.Parallel()
	window := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n} }
	for _, tt := range []struct {
		name    string
		initial uint32
		token   int
		// more lets more come after each frame that has.
		more func(p *framePeer, f *http2.DataFrame)
	}{
		{"a byte at a time", 1, 500, func(p *framePeer, f *http2.DataFrame) {
			_ = p.WriteWindowUpdate(f.StreamID, 1)
		}},
		{"the connection's window", 1 << 20, 16 << 10, func(p *framePeer, f *http2.DataFrame) {
			_ = p.WriteWindowUpdate(0, f.Length)
		}},
		{"an initial window that shrinks", 100, 1000, func(p *framePeer, f *http2.DataFrame) {
			_ = p.WriteSettings(window(1)) // 100 more than allowed have come
			_ = p.WriteSettings(window(0))
			_ = p.WriteWindowUpdate(f.StreamID, 150)
			_ = p.WriteSettings(window(100))
		}},
		{"an initial window that opens late", 0, 1000, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const requests = 6
				want := strings.Repeat("t", tt.token)
				client := newUnreachable(t)
				gate := make(chan struct{})
				resets := 0
				shareFramePeer(t, client, func(p *framePeer) {
					if !p.greet(window(tt.initial)) {
						return
					}
					if tt.initial == 0 {
						go func() {
							<-gate
							_ = p.aside().WriteSettings(window(1 << 20))
						}()
					}
					for {
						switch f := p.frame().(type) {
						case nil:
							return
						case *http2.RSTStreamFrame:
							resets++
						case *http2.DataFrame:
							p.bodies[f.StreamID] = append(p.bodies[f.StreamID], f.Data()...)
							if !f.StreamEnded() && tt.more != nil {
								tt.more(p, f)
							}
							if f.StreamEnded() {
								if f.StreamID != 0 && tokenIn(p.bodies[f.StreamID]) != want {
									t.Error("another token came")
								}
								_ = p.WriteWindowUpdate(0, f.Length)
								p.revoked(f.StreamID)
							}
						}
					}
				})
				req := aRequest()
				req.Token = slashid.NewSecret(want)
				var all []*slashid.Attempt
				for range requests {
					all = append(all, client.Begin(t.Context(), req))
				}
				synctest.Wait()
				close(gate)
				wantAll(t, all, slashid.Revoked)
				synctest.Wait()
				if resets != 0 {
					t.Errorf("%d streams were reset", resets)
				}
				wantNoLoad(t, client)
			})
		})
	}
}

// A peer that answers before it has the whole request is told not to wait for the rest.
func TestAnswerBeforeTheRequestIsWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		var got []uint32
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			for {
				switch f := p.frame().(type) {
				case nil:
					return
				case *http2.MetaHeadersFrame:
					p.revoked(f.StreamID) // while the writer waits for its body to be read
					time.Sleep(time.Second)
				case *http2.RSTStreamFrame:
					got = append(got, f.StreamID)
				case *http2.DataFrame:
					if f.StreamEnded() {
						t.Error("the rest came all the same")
					}
				}
			}
		})
		req := aRequest()
		req.Token = slashid.NewSecret(strings.Repeat("t", 30<<10)) // of two frames
		wantAll(t, []*slashid.Attempt{client.Begin(t.Context(), req)}, slashid.Revoked)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != 1 || got[0] != 1 {
			t.Errorf("the streams %v were reset", got)
		}
	})
}

// The smallest table that a peer has allowed meanwhile must be told (RFC 7541 section
// 4.2), also when it has allowed more since.
func TestHeaderTableChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		gate := make(chan struct{})
		var blocks [][]byte
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			p.ReadMetaHeaders = nil
			for {
				switch f := p.frame().(type) {
				case nil:
					return
				case *http2.HeadersFrame:
					blocks = append(blocks, bytes.Clone(f.HeaderBlockFragment()))
				case *http2.DataFrame:
					if len(blocks) == 1 {
						table := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingHeaderTableSize, Val: n} }
						_ = p.WriteSettings(table(0), table(4096))
						<-gate
					}
					p.revoked(f.StreamID)
				}
			}
		})
		all := beginAll(t, client, 1)
		synctest.Wait()
		all = append(all, beginAll(t, client, 1)...)
		synctest.Wait()
		close(gate)
		wantAll(t, all, slashid.Revoked)
		if len(blocks) != 2 || blocks[1][0] != 0x20 {
			t.Errorf("the second header does not begin with a table of 0")
		}
		decoder := hpack.NewDecoder(4096, nil)
		for i, block := range blocks {
			fields, err := decoder.DecodeFull(block)
			if err != nil || len(fields) < 8 {
				t.Errorf("header %d: %d fields, %v", i, len(fields), err)
			}
		}
	})
}

// A peer that is silent is asked for a sign of life, and given up without one.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		shareFramePeer(t, client, func(p *framePeer) {
			if p.greet() {
				p.drain()
			}
		})
		begun := time.Now()
		all := beginAll(t, client, 3)
		wantAll(t, all, slashid.ConnectionLost)
		if took := time.Since(begun); took != slashid.PingAfter+slashid.PingTimeout {
			t.Errorf("it took %v", took)
		}
		if _, busy := client.Load(); busy != 0 {
			t.Errorf("%d are under way", busy)
		}
	})
}

// One that answers is not, however long the answers to requests take.
func TestPeerThatIsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		pings := 0
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			for {
				switch f := p.frame().(type) {
				case nil:
					return
				case *http2.PingFrame:
					pings++
					_ = p.WritePing(true, f.Data)
				case *http2.DataFrame:
					stream := f.StreamID
					time.AfterFunc(2*time.Minute, func() { p.aside().revoked(stream) })
				}
			}
		})
		begun := time.Now()
		a := client.Begin(t.Context(), aRequest())
		<-a.Done()
		if got := a.Result(); got.Kind != slashid.Revoked || time.Since(begun) != 2*time.Minute {
			t.Errorf("got %+v after %v", got, time.Since(begun))
		}
		synctest.Wait()
		if pings < 3 || pings > 8 {
			t.Errorf("%d pings in two minutes", pings)
		}
	})
}

// A peer that goes away finishes what it has, disowns what it does not want, and gets
// no more.
func TestGoAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		first, second := make(chan struct{}), make(chan struct{})
		done := make(chan struct{})
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			for range 3 {
				p.request()
			}
			_ = p.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
			<-first
			_ = p.WriteGoAway(3, http2.ErrCodeNo, nil)
			<-second
			p.revoked(1)
			p.revoked(3)
			if stream, _ := p.request(); stream != 0 {
				t.Errorf("it gets request %d after it has gone away", stream)
			}
			close(done)
		})
		all := beginAll(t, client, 3)
		synctest.Wait()
		shareFramePeer(t, client, func(p *framePeer) {
			if p.greet() {
				p.revokeEach()
			}
		})
		wantAll(t, beginAll(t, client, 5), slashid.Revoked)
		close(first)
		synctest.Wait()
		lost := 0
		for _, a := range all {
			if isOver(a) {
				lost++
				checkNoAnswer(t, a.Result(), slashid.ConnectionLost, true)
			}
		}
		if lost != 1 {
			t.Errorf("%d were disowned", lost)
		}
		close(second)
		<-done
		for _, a := range all {
			<-a.Done()
		}
	})
}

// The numbers of streams come to an end, and their connection with them.
func TestStreamsAreUsedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newUnreachable(t)
		done := make(chan struct{})
		shareFramePeer(t, client, func(p *framePeer) {
			if !p.greet() {
				return
			}
			p.revokeEach()
			close(done)
		})
		client.BeginFrom(1<<31 - 3)
		wantAll(t, beginAll(t, client, 2), slashid.Revoked)
		<-done
		third := client.Begin(t.Context(), aRequest())
		synctest.Wait()
		if queued, busy := client.Load(); queued != 1 || busy != 0 {
			t.Errorf("%d wait, %d are under way", queued, busy)
		}
		third.GiveUp(slashid.Cancelled)
	})
}

// Waiting takes two goroutines a connection, and none a request.
func TestWaitingRequestsHaveNoGoroutines(t *testing.T) {
	client := newUnreachable(t)
	var arrived sync.WaitGroup
	arrived.Add(slashid.MaxStreams)
	shareFramePeer(t, client, func(p *framePeer) {
		if !p.greet() {
			return
		}
		for stream, _ := p.request(); stream != 0; stream, _ = p.request() {
			arrived.Done()
		}
	})
	before := goroutinesOf("slashid.(*")
	all := beginAll(t, client, slashid.MaxStreams)
	arrived.Wait()
	if after := goroutinesOf("slashid.(*"); after != before {
		t.Errorf("%d goroutines without requests, %d with %d", before, after, len(all))
	}
	for _, a := range all {
		a.GiveUp(slashid.Cancelled)
	}
	if _, busy := client.Load(); busy != 0 {
		t.Errorf("%d are under way", busy)
	}
}

// An answer's status, sent by a peer that breaks a rule with it, is worth nothing.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	block := func(fields ...string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for i := 0; i < len(fields); i += 2 {
			_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return b.Bytes()
	}
	headers := func(p *framePeer, stream uint32, end bool, fields ...string) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(fields...), EndHeaders: true, EndStream: end})
	}
	for _, tt := range []struct {
		name   string
		answer func(p *framePeer, stream uint32)
		want   slashid.Kind
		status int
		// whether other requests on the connection go on
		goesOn bool
	}{
		{"no status", func(p *framePeer, s uint32) { headers(p, s, true, "server", "x") }, slashid.ConnectionLost, 0, true},
		{"two statuses", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "204", ":status", "204") }, slashid.ConnectionLost, 0, true},
		{"a status of a request", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "204", ":path", "/") }, slashid.ConnectionLost, 0, true},
		{"a status of letters", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "OK!") }, slashid.ConnectionLost, 0, true},
		{"a status of four digits", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "2040") }, slashid.ConnectionLost, 0, true},
		{"an informational end", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "103") }, slashid.ConnectionLost, 0, true},
		{"a capital letter", func(p *framePeer, s uint32) { headers(p, s, true, ":status", "204", "Server", "x") }, slashid.ConnectionLost, 0, true},
		{"a body without a head", func(p *framePeer, s uint32) { _ = p.WriteData(s, true, []byte("x")) }, slashid.ConnectionLost, 0, true},
		{"informational ones without end", func(p *framePeer, s uint32) {
			for range 10 {
				headers(p, s, false, ":status", "103")
			}
		}, slashid.ConnectionLost, 0, true},
		{"informational ones, then the one that counts", func(p *framePeer, s uint32) {
			headers(p, s, false, ":status", "100")
			headers(p, s, false, ":status", "103", "slashid-correlation-id", "early")
			headers(p, s, true, ":status", "204")
		}, slashid.Revoked, http.StatusNoContent, true},
		{"padding", func(p *framePeer, s uint32) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: block(":status", "400"), EndHeaders: true, PadLength: 200})
			_ = p.WriteDataPadded(s, false, []byte(envelope[:10]), make([]byte, 100))
			_ = p.WriteDataPadded(s, true, []byte(envelope[10:]), make([]byte, 255))
		}, slashid.TokenRejected, http.StatusBadRequest, true},
		{"trailers", func(p *framePeer, s uint32) {
			headers(p, s, false, ":status", "400")
			_ = p.WriteData(s, false, []byte(envelope))
			headers(p, s, true, "slashid-correlation-id", "late")
		}, slashid.TokenRejected, http.StatusBadRequest, true},
		{"trailers without an end", func(p *framePeer, s uint32) {
			headers(p, s, false, ":status", "400")
			headers(p, s, false, "slashid-correlation-id", "late")
		}, slashid.Unexpected, http.StatusBadRequest, true},
		{"a header in many frames", func(p *framePeer, s uint32) {
			b := block(":status", "204", "x", strings.Repeat("x", 10_000))
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: b[:1], EndStream: true})
			for i := 1; i < len(b); i += 1000 {
				_ = p.WriteContinuation(s, i+1000 >= len(b), b[i:min(i+1000, len(b))])
			}
		}, slashid.Revoked, http.StatusNoContent, true},
		{"a header that is too long", func(p *framePeer, s uint32) {
			b := block(":status", "204", "x", strings.Repeat("~", 40_000), "y", strings.Repeat("~", 40_000))
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: b[:10_000], EndStream: true})
			for i := 10_000; i < len(b); i += 10_000 {
				if p.WriteContinuation(s, i+10_000 >= len(b), b[i:min(i+10_000, len(b))]) != nil {
					return
				}
			}
		}, slashid.ConnectionLost, 0, true},
		{"a push", func(p *framePeer, s uint32) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: s, PromiseID: 2, BlockFragment: block(":path", "/"), EndHeaders: true})
		}, slashid.ConnectionLost, 0, false},
		{"settings that cannot be", func(p *framePeer, _ uint32) {
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}, slashid.ConnectionLost, 0, false},
		{"a window of the connection that is too large", func(p *framePeer, _ uint32) {
			_ = p.WriteWindowUpdate(0, 1<<31-1)
		}, slashid.ConnectionLost, 0, false},
		{"a window of the stream that is too large", func(p *framePeer, s uint32) {
			_ = p.WriteWindowUpdate(s, 1<<31-1)
		}, slashid.ConnectionLost, 0, true},
		{"no room in the stream's window", func(p *framePeer, s uint32) {
			_ = p.WriteRawFrame(http2.FrameWindowUpdate, 0, s, []byte{0, 0, 0, 0})
		}, slashid.ConnectionLost, 0, true},
		{"frames of no kind, and of streams that are not there", func(p *framePeer, s uint32) {
			_ = p.WriteRawFrame(0xbe, 0xff, s, []byte("grease"))
			_ = p.WriteRSTStream(s+1000, http2.ErrCodeCancel)
			_ = p.WritePriority(s, http2.PriorityParam{StreamDep: 0})
			p.revoked(s)
		}, slashid.Revoked, http.StatusNoContent, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newUnreachable(t)
				shareFramePeer(t, client, func(p *framePeer) {
					if !p.greet() {
						return
					}
					other, _ := p.request()
					stream, _ := p.request()
					go p.drain() // of what comes meanwhile
					tt.answer(p, stream)
					time.Sleep(time.Minute / 6)
					p.revoked(other)
					<-t.Context().Done()
				})
				all := beginAll(t, client, 1)
				synctest.Wait()
				all = append(all, beginAll(t, client, 1)...)
				synctest.Wait()
				<-all[1].Done()
				got := all[1].Result()
				if got.Kind != tt.want || got.Status != tt.status || !got.Sent || got.CorrelationID != "" {
					t.Errorf("got %+v, want %v", got, tt.want)
				}
				<-all[0].Done()
				if got := all[0].Result(); (got.Kind == slashid.Revoked) != tt.goesOn {
					t.Errorf("the other one: %+v", got)
				}
			})
		})
	}
}
