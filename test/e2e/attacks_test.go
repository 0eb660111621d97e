package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attacker is a hostile client.
type attacker struct {
	*testing.T
	*victim
	attack
}

func (a *attacker) addr() string {
	if a.over == overGRPC {
		return a.GRPC
	}
	return a.HTTP
}

// stay returns after honest callers have received 20 more answers.
func (a *attacker) stay() {
	enough := a.honest.Load() + 20
	eventually(a.T, "honest callers are answered", func() bool { return a.honest.Load() >= enough || a.Failed() })
}

// each runs do n times concurrently.
func each(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}

// connect opens n plaintext connections and runs do with each.
func (a *attacker) connect(n int, do func(conn net.Conn)) {
	each(n, func() {
		conn, err := dialRaw(a.Context(), a.addr(), nil, "")
		if err != nil {
			a.Error(err)
			return
		}
		defer conn.Close()
		do(conn)
	})
}

// connectHTTP2 opens n HTTP/2 connections and runs do with each.
func (a *attacker) connectHTTP2(n int, do func(c *rawHTTP2), settings ...http2.Setting) {
	each(n, func() {
		c, err := dialHTTP2(a.Context(), a.addr(), a.tls, settings...)
		if err != nil {
			a.Errorf("%s over %s: %v", a.name, a.over, err)
			return
		}
		defer c.Close()
		do(c)
	})
}

// ended checks err, the result of reading or writing: the server must have closed the
// connection.
func (a *attacker) ended(err error) {
	if timedOut(err) {
		a.Errorf("%s over %s: the server does not close the connection", a.name, a.over)
	}
}

const (
	halfHeader = "POST " + dropInPath + " HTTP/1.1\r\nHost: quash\r\nX: "
	halfBody   = "POST " + dropInPath + " HTTP/1.1\r\nHost: quash\r\nContent-Length: 60000\r\n\r\n"
)

// drip sends one byte every 100 ms until the connection is closed.
func drip(conn net.Conn) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for err := error(nil); err == nil; _, err = io.WriteString(conn, "a") {
		<-ticker.C
	}
}

// text sends a text on n connections. If drips is set, it drips after the text.
func text(n int, text string, drips bool) func(a *attacker) {
	return func(a *attacker) {
		a.connect(n, func(conn net.Conn) {
			go func() {
				if _, err := io.WriteString(conn, text); err == nil && drips {
					drip(conn)
				}
			}()
			_, err := io.Copy(io.Discard, conn)
			a.ended(err)
		})
	}
}

// frames opens n HTTP/2 connections and calls frames on each: streams times, or once if
// streams is 0. It waits until the server has ended all streams or, if streams is 0, the
// connection.
func frames(n, streams int, frames func(a *attacker, c *rawHTTP2)) func(a *attacker) {
	return func(a *attacker) {
		a.connectHTTP2(n, func(c *rawHTTP2) {
			go func() {
				for range max(1, streams) {
					frames(a, c)
					if c.flush() != nil {
						return
					}
				}
			}()
			ended := map[uint32]bool{}
			a.ended(c.read(func(frame http2.Frame) bool {
				switch frame.(type) {
				case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
					ended[frame.Header().StreamID] = true
				}
				return streams == 0 || len(ended) < streams
			}))
		})
	}
}

func nothing(*attacker, *rawHTTP2) {}

// usual encodes the header of a Revoke request over the transport of the attack.
func (a *attacker) usual(c *rawHTTP2, more ...string) []byte {
	if a.over == overREST {
		more = append([]string{":path", dropInPath, "content-type", "application/json"}, more...)
	}
	return c.header(more...)
}

// whole returns the body of a complete request, with a token that SlashID does not know.
func (a *attacker) whole() []byte {
	if a.over == overREST {
		return []byte(`{"token":"a.b.c"}`)
	}
	return []byte(framed(0, field(1, "a.b.c")))
}

func onlyHeader(a *attacker, c *rawHTTP2) { c.begin(a.usual(c), false) }

// halfMessage sends 48 KB of a message, or of a body, of 60 KB.
func halfMessage(a *attacker, c *rawHTTP2) {
	stream := c.begin(a.usual(c), false)
	if a.over == overGRPC {
		_ = c.WriteData(stream, false, []byte(announced(0, 60_000)))
	}
	c.data(stream, make([]byte, 48<<10), false)
}

// halfFrame announces a HEADERS frame of 16 KiB and drips its content.
func halfFrame(_ *attacker, c *rawHTTP2) {
	c.out.Write([]byte{0, 0x40, 0, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, 0, 1})
	_ = c.flush()
	drip(c)
}

// hugeHeader sends 100,000 bytes of header in the given number of fields.
func hugeHeader(fields int) func(*attacker, *rawHTTP2) {
	return func(a *attacker, c *rawHTTP2) {
		var more []string
		for i := range fields {
			more = append(more, fmt.Sprint("x", i), strings.Repeat("~", 100_000/fields))
		}
		c.begin(a.usual(c, more...), false)
	}
}

// hpackBomb sends a header field once, and then refers to it 100,000 times with one byte each.
func hpackBomb(size int) func(*attacker, *rawHTTP2) {
	return func(a *attacker, c *rawHTTP2) {
		const latest = 0x80 | 62 // of the dynamic table
		block := a.usual(c, "x", "a")
		c.block.Reset()
		_ = c.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", size)})
		block = append(block, c.block.Bytes()...)
		c.begin(append(block, bytes.Repeat([]byte{latest}, 100_000)...), false)
	}
}

const huge = 64 << 20

// hugeBody sends a body of 64 MB until the server stops reading.
func hugeBody(path string, chunked bool) func(a *attacker) {
	length, part := fmt.Sprintf("Content-Length: %d", huge), bytes.Repeat([]byte{' '}, 1<<20)
	if chunked {
		length, part = "Transfer-Encoding: chunked", fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
	}
	return func(a *attacker) {
		a.connect(4, func(conn net.Conn) {
			go func() {
				_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, length)
				for sent := 0; sent < huge && err == nil; sent += 1 << 20 {
					_, err = conn.Write(part)
				}
			}()
			_, err := io.Copy(io.Discard, conn)
			a.ended(err)
		})
	}
}

// hugeMessage announces a message of 64 MB, and sends it although the server rejects it.
func hugeMessage(a *attacker) {
	a.connectHTTP2(4, func(c *rawHTTP2) {
		go func() { _ = c.read(func(http2.Frame) bool { return true }) }()
		stream := c.begin(a.usual(c), false)
		if a.over == overGRPC {
			_ = c.WriteData(stream, false, []byte(announced(0, huge)))
		}
		var err error
		for sent := 0; sent < huge && err == nil; sent += maxFrame {
			_ = c.WriteData(stream, false, make([]byte, maxFrame))
			err = c.flush()
		}
		a.ended(err)
	})
}

// floods are frames that are cheap to send, and how many to send. block is a request header
// that can be sent repeatedly.
var floods = []struct {
	name  string
	n     int
	frame func(a *attacker, c *rawHTTP2, block []byte, i int)
}{
	{"PING", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, _ int) { _ = c.WritePing(false, [8]byte{}) }},
	{"SETTINGS", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, _ int) { _ = c.WriteSettings() }},
	{"PRIORITY", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, i int) {
		_ = c.WritePriority(uint32(2*i+3), http2.PriorityParam{StreamDep: uint32(2*i + 5)})
	}},
	{"WINDOW_UPDATE", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, _ int) { _ = c.WriteWindowUpdate(1, 1) }},
	{"empty DATA", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, _ int) { _ = c.WriteData(1, false, nil) }},
	{"frames of no known type", 50_000, func(_ *attacker, c *rawHTTP2, _ []byte, _ int) { _ = c.WriteRawFrame(0xbe, 0, 0, nil) }},
	{"rapid reset", 4000, func(_ *attacker, c *rawHTTP2, block []byte, _ int) {
		_ = c.WriteRSTStream(c.begin(block, false), http2.ErrCodeCancel)
	}},
	{"rapid reset of whole requests", 250, func(a *attacker, c *rawHTTP2, block []byte, _ int) {
		stream := c.begin(block, false)
		c.data(stream, a.whole(), true)
		_ = c.flush() // so that the server can start the call
		_ = c.WriteRSTStream(stream, http2.ErrCodeCancel)
	}},
}

// flood sends a frame n times on two connections, each with one stream. If unread is set, it
// reads the answers only after it has sent all frames.
func flood(n int, frame func(a *attacker, c *rawHTTP2, block []byte, i int), unread bool) func(a *attacker) {
	return func(a *attacker) {
		a.connectHTTP2(2, func(c *rawHTTP2) {
			c.begin(a.usual(c), false)
			block := a.usual(c) // only references to HPACK's table: the first header filled it
			end := make(chan struct{})
			read := func() {
				defer close(end)
				_ = c.read(func(frame http2.Frame) bool { return !isLastPing(frame) })
			}
			if !unread {
				go read()
			}
			var err error
			for i := 0; i < n && err == nil; i++ {
				if frame(a, c, block, i); i%500 == 499 {
					_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // if it expires, the server has stopped reading
					err = c.flush()
				}
			}
			if unread {
				go read()
			}
			_ = c.WritePing(false, lastPing)
			if err == nil && c.flush() == nil {
				<-end
			}
			_ = c.Close()
			<-end
		})
	}
}

// lastPing is the payload of a PING after the last frame: its acknowledgement shows that the
// server has read all frames.
var lastPing = [8]byte{'l', 'a', 's', 't'}

func isLastPing(frame http2.Frame) bool {
	ping, ok := frame.(*http2.PingFrame)
	return ok && ping.IsAck() && ping.Data == lastPing
}

// closedWindow makes calls with headers of 30 KB and a flow-control window of 0, so that the
// server cannot send an answer and must keep the header of each call.
func closedWindow(path string) func(a *attacker) {
	return func(a *attacker) {
		body := []byte(announced(0, 0))
		if a.over == overREST {
			body = []byte("{}")
		}
		a.connectHTTP2(2, func(c *rawHTTP2) {
			end := make(chan struct{})
			go func() {
				defer close(end)
				_ = c.read(func(http2.Frame) bool { return true })
			}()
			for i := 0; i < 1000 && c.flush() == nil; i++ {
				stream := c.begin(a.usual(c, ":path", path, "x", strings.Repeat("~", 30_000)), false)
				_ = c.WriteData(stream, true, body)
			}
			_ = c.flush()
			a.stay()
			_ = c.Close()
			<-end
		}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	}
}

// unreadCalls makes calls without reading the answers, until the server stops reading.
func unreadCalls(a *attacker) {
	a.connectHTTP2(2, func(c *rawHTTP2) {
		for i := 0; i < 1000 && c.flush() == nil; i++ {
			_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			c.data(c.begin(a.usual(c), false), a.whole(), true)
		}
		a.stay()
	})
}

// unreadPipeline sends HTTP/1.1 requests without reading the answers, until the server stops
// reading.
func unreadPipeline(a *attacker) {
	requests := strings.Repeat("POST /nowhere HTTP/1.1\r\nHost: quash\r\nContent-Length: 0\r\n\r\n", 100)
	a.connect(5, func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
		for err := error(nil); err == nil; _, err = io.WriteString(conn, requests) {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		}
	})
}

// unreadSettings fills the connection with unread answers until the server cannot write any
// more, and then sends settings that the server must acknowledge.
func unreadSettings(a *attacker) {
	settings := make([]http2.Setting, 2700) // 16 KB
	for i := range settings {
		settings[i].ID = http2.SettingID(1000 + i)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	a.connectHTTP2(1, func(c *rawHTTP2) {
		for i := 0; i < 9000 && c.flush() == nil; i++ {
			if i%400 == 399 { // stay below the limit of open streams
				<-ticker.C
			}
			_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			if i >= 6000 {
				_ = c.WriteSettings(settings...)
				continue
			}
			// The answer repeats the timeout. Vary it, so that HPACK cannot compress it.
			c.begin(a.usual(c, ":path", "/unknown.Service", "grpc-timeout", fmt.Sprint(i, strings.Repeat("~", 1000))), true)
		}
		a.stay()
	})
}

// manyConnections opens more connections than the server accepts and keeps them for a while.
func manyConnections(a *attacker) {
	a.connect(200, func(net.Conn) { a.stay() })
	open, err := os.ReadDir(a.proc("fd"))
	// 50 for each listener, those to SlashID and of honest callers, and the process's own.
	if err != nil || len(open) > 200 {
		a.Errorf("%d descriptors are open, %v", len(open), err)
	}
}
