package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// attacker does what no client should.
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

// stay returns when honest callers have been answered a number of times since.
func (a *attacker) stay() {
	enough := a.honest.Load() + 20
	eventually(a.T, "honest callers are answered", func() bool { return a.honest.Load() >= enough || a.Failed() })
}

// each does something n times at once.
func each(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}

// ended checks that the server has ended a connection.
func (a *attacker) ended(err error) {
	if timedOut(err) {
		a.Errorf("%s over %s: the server does not end it", a.name, a.over)
	}
}

const (
	halfHeader = "POST " + dropInPath + " HTTP/1.1\r\nHost: quash\r\nX: "
	halfBody   = "POST " + dropInPath + " HTTP/1.1\r\nHost: quash\r\nContent-Length: 60000\r\n\r\n"
)

// slowText opens n connections, sends a text on each, and perhaps a byte every 100 ms
// after it.
func slowText(n int, text string, drip bool) func(a *attacker) {
	if text == halfBody {
		text += strings.Repeat(" ", 50_000)
	}
	return func(a *attacker) {
		each(n, func() {
			conn, err := dialRaw(a.Context(), a.addr(), nil, "")
			if err != nil {
				a.Error(err)
				return
			}
			defer conn.Close()
			go func() {
				_, err := io.WriteString(conn, text)
				ticker := time.NewTicker(100 * time.Millisecond)
				defer ticker.Stop()
				for drip && err == nil {
					<-ticker.C
					_, err = io.WriteString(conn, "a")
				}
			}()
			_, err = io.Copy(io.Discard, conn)
			a.ended(err)
		})
	}
}

// frames opens n connections of HTTP/2, writes frames on each, streams times if that is
// not 0, and waits until the server has ended the streams, or else the connection.
func frames(n, streams int, frames func(c *rawHTTP2, a *attacker) error) func(a *attacker) {
	return func(a *attacker) {
		each(n, func() {
			c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
			if err != nil {
				return // refused
			}
			defer c.Close()
			go func() {
				for range max(1, streams) {
					if c.write(func() error { return frames(c, a) }) != nil {
						return
					}
				}
				_ = c.flush()
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

func nothing(*rawHTTP2, *attacker) error { return nil }

// usual encodes the header of a request for Revoke.
func (a *attacker) usual(c *rawHTTP2, more ...string) []byte {
	if a.over == overREST {
		more = append([]string{":path", dropInPath, "content-type", "application/json"}, more...)
	}
	return c.header(more...)
}

// whole is the body of a complete request, with a token that SlashID does not know.
func (a *attacker) whole() []byte {
	if a.over == overREST {
		return []byte(`{"token":"a.b.c"}`)
	}
	return []byte(framed(0, field(1, "a.b.c")))
}

func onlyHeader(c *rawHTTP2, a *attacker) error {
	_, err := c.begin(a.usual(c), false)
	return err
}

// halfMessage sends 48 KB of a message or a body of 60 KB.
func halfMessage(c *rawHTTP2, a *attacker) error {
	stream, err := c.begin(a.usual(c), false)
	if a.over == overGRPC {
		err = errors.Join(err, c.WriteData(stream, false, []byte(announced(0, 60_000))))
	}
	return errors.Join(err, c.data(stream, make([]byte, 48<<10), false))
}

// halfFrame announces a HEADERS frame of 16 KiB, and sends a byte of it every 100 ms.
func halfFrame(c *rawHTTP2, _ *attacker) error {
	_, err := c.out.Write([]byte{0, 0x40, 0, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, 0, 1})
	go func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for err := error(nil); err == nil; _, err = c.Write([]byte{'a'}) {
			<-ticker.C
		}
	}()
	return err
}

// hugeHeader sends 100,000 bytes of header fields.
func hugeHeader(fields int) func(*rawHTTP2, *attacker) error {
	return func(c *rawHTTP2, a *attacker) error {
		var more []string
		for i := range fields {
			more = append(more, fmt.Sprint("x", i), strings.Repeat("~", 100_000/fields))
		}
		_, err := c.begin(a.usual(c, more...), false)
		return err
	}
}

// hpackBomb sends a header field once and then refers to it, a byte each time.
func hpackBomb(size int) func(*rawHTTP2, *attacker) error {
	return func(c *rawHTTP2, a *attacker) error {
		const latest = 0x80 | 62 // of the dynamic table
		block := a.usual(c, "x", "a")
		c.block.Reset()
		_ = c.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", size)})
		block = append(block, c.block.Bytes()...)
		_, err := c.begin(append(block, bytes.Repeat([]byte{latest}, 100_000)...), false)
		return err
	}
}

const huge = 64 << 20

// hugeBody sends 64 MB, in chunks or not, as long as the server reads.
func hugeBody(path string, chunked bool) func(a *attacker) {
	return func(a *attacker) {
		each(4, func() {
			conn, err := dialRaw(a.Context(), a.addr(), nil, "")
			if err != nil {
				a.Error(err)
				return
			}
			defer conn.Close()
			length, part := fmt.Sprintf("Content-Length: %d", huge), bytes.Repeat([]byte{' '}, 1<<20)
			if chunked {
				length, part = "Transfer-Encoding: chunked", fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
			}
			go func() {
				_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, length)
				for sent := 0; sent < huge && err == nil; sent += 1 << 20 {
					_, err = conn.Write(part)
				}
			}()
			_, err = io.Copy(io.Discard, conn)
			a.ended(err)
		})
	}
}

func largeBodyOverTLS(a *attacker) {
	client := a.client()
	defer client.CloseIdleConnections()
	each(4, func() {
		resp, err := client.Post(a.url()+nativePath, "application/json", strings.NewReader(strings.Repeat(" ", 32<<20)))
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			a.Errorf("32 MB: %v, %v", resp, err)
			return
		}
		_ = resp.Body.Close()
	})
}

// hugeMessage announces 64 MB, and sends them although they are refused.
func hugeMessage(a *attacker) {
	c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
	if err != nil {
		a.Error(err)
		return
	}
	defer c.Close()
	go func() { _ = c.read(func(http2.Frame) bool { return true }) }()
	for sent := 0; sent < huge && err == nil; sent += maxFrame {
		err = c.write(func() error {
			if sent > 0 {
				return c.WriteData(1, false, make([]byte, maxFrame))
			}
			stream, err := c.begin(a.usual(c), false)
			return errors.Join(err, c.WriteData(stream, false, []byte(announced(0, huge))))
		})
	}
}

// floods are frames that cost nothing to send, and how many to send.
var floods = []struct {
	name  string
	n     int
	frame func(c *rawHTTP2, block []byte, i int) error
}{
	{"PING", 50_000, func(c *rawHTTP2, _ []byte, _ int) error { return c.WritePing(false, [8]byte{}) }},
	{"SETTINGS", 50_000, func(c *rawHTTP2, _ []byte, _ int) error { return c.WriteSettings() }},
	{"PRIORITY", 50_000, func(c *rawHTTP2, _ []byte, i int) error {
		return c.WritePriority(uint32(2*i+3), http2.PriorityParam{StreamDep: uint32(2*i + 5)})
	}},
	{"WINDOW_UPDATE", 50_000, func(c *rawHTTP2, _ []byte, _ int) error { return c.WriteWindowUpdate(1, 1) }},
	{"empty DATA", 50_000, func(c *rawHTTP2, _ []byte, _ int) error { return c.WriteData(1, false, nil) }},
	{"frames of no known type", 50_000, func(c *rawHTTP2, _ []byte, _ int) error { return c.WriteRawFrame(0xbe, 0, 0, nil) }},
	{"rapid reset", 4000, func(c *rawHTTP2, block []byte, _ int) error {
		stream, err := c.begin(block, false)
		return errors.Join(err, c.WriteRSTStream(stream, http2.ErrCodeCancel))
	}},
}

// flood sends a frame over and over, on some connections with a stream each, and reads
// what comes back while it sends or only after that.
func flood(n int, frame func(c *rawHTTP2, block []byte, i int) error, unread bool) func(a *attacker) {
	return func(a *attacker) {
		each(2, func() {
			c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
			if err != nil {
				return // refused
			}
			defer c.Close()
			var block []byte
			_ = c.write(func() error {
				_, err := c.begin(a.usual(c), false)
				block = a.usual(c) // the same, which HPACK knows by now: it can be sent again and again
				return errors.Join(err, c.out.Flush())
			})
			var end <-chan struct{}
			if !unread {
				end = c.awaitLastPing()
			}
			for i := 0; i < n && err == nil; i++ {
				if i%1000 == 0 {
					_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // by then the server has stopped to read
				}
				err = c.write(func() error { return frame(c, block, i) })
			}
			if unread {
				end = c.awaitLastPing()
			}
			if err = errors.Join(err, c.sendLastPing()); err == nil {
				<-end
			}
			_ = c.Close()
			<-end
		})
	}
}

// lastPing is acknowledged when everything before it has been read.
var lastPing = [8]byte{'l', 'a', 's', 't'}

func (c *rawHTTP2) sendLastPing() error {
	return c.write(func() error { return errors.Join(c.WritePing(false, lastPing), c.out.Flush()) })
}

// awaitLastPing reads until the last ping is acknowledged or the connection ends, and
// closes the channel then.
func (c *rawHTTP2) awaitLastPing() <-chan struct{} {
	end := make(chan struct{})
	go func() {
		defer close(end)
		_ = c.read(func(frame http2.Frame) bool {
			ping, ok := frame.(*http2.PingFrame)
			return !ok || !ping.IsAck() || ping.Data != lastPing
		})
	}()
	return end
}

// resetRequests resets requests that have been made.
func resetRequests(a *attacker) {
	each(2, func() {
		c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
		if err != nil {
			return // refused
		}
		defer c.Close()
		end := c.awaitLastPing()
		for i := 0; i < 250 && err == nil; i++ {
			err = c.write(func() error {
				stream, err := c.begin(a.usual(c), false)
				return errors.Join(err, c.data(stream, a.whole(), true), c.out.Flush(), c.WriteRSTStream(stream, http2.ErrCodeCancel))
			})
		}
		if c.sendLastPing() == nil {
			<-end
		}
		_ = c.Close()
		<-end
	})
}

// closedWindow makes calls with headers of 30 KB, and accepts no byte of an answer. A call
// whose answer is not taken keeps its header.
func closedWindow(path string) func(a *attacker) {
	return func(a *attacker) {
		each(2, func() {
			c, err := dialHTTP2(a.Context(), a.addr(), a.tls, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			if err != nil {
				a.Error(err)
				return
			}
			end := c.awaitLastPing()
			body := []byte(announced(0, 0))
			if a.over == overREST {
				body = []byte("{}")
			}
			for i := 0; i < 1000 && err == nil; i++ {
				err = c.write(func() error {
					stream, err := c.begin(a.usual(c, ":path", path, "x", strings.Repeat("~", 30_000)), false)
					return errors.Join(err, c.WriteData(stream, true, body))
				})
			}
			_ = c.flush()
			a.stay()
			_ = c.Close()
			<-end
		})
	}
}

// unreadCalls makes calls as long as the server reads them.
func unreadCalls(a *attacker) {
	each(2, func() {
		c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
		if err != nil {
			a.Error(err)
			return
		}
		defer c.Close()
		for i := 0; i < 1000 && err == nil; i++ {
			_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
			err = c.write(func() error {
				stream, err := c.begin(a.usual(c), false)
				return errors.Join(err, c.WriteData(stream, true, a.whole()))
			})
		}
		a.stay()
	})
}

// unreadPipeline sends requests of HTTP/1.1 as long as the server reads them.
func unreadPipeline(a *attacker) {
	requests := strings.Repeat("POST /nowhere HTTP/1.1\r\nHost: quash\r\nContent-Length: 0\r\n\r\n", 100)
	each(5, func() {
		conn, err := dialRaw(a.Context(), a.addr(), nil, "")
		if err != nil {
			a.Error(err)
			return
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
		for err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, err = io.WriteString(conn, requests)
		}
	})
}

// unreadSettings fills the connection with answers until the server can write no more,
// and then has it acknowledge settings.
func unreadSettings(a *attacker) {
	c, err := dialHTTP2(a.Context(), a.addr(), a.tls)
	if err != nil {
		a.Error(err)
		return
	}
	defer c.Close()
	settings := make([]http2.Setting, 2700) // 16 KB
	for i := range settings {
		settings[i].ID = http2.SettingID(1000 + i)
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; i < 9000 && err == nil; i++ {
		if i%400 == 399 { // no more than may be open at once
			_ = c.flush()
			<-ticker.C
		}
		_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		err = c.write(func() error {
			if i >= 6000 {
				return c.WriteSettings(settings...)
			}
			// The answer repeats the timeout, which HPACK must not know yet.
			_, err := c.begin(a.usual(c, ":path", "/unknown.Service", "grpc-timeout", fmt.Sprint(i, strings.Repeat("~", 1000))), true)
			return err
		})
	}
	a.stay()
}

// manyConnections opens more connections than the server accepts, and stays for a while.
func manyConnections(a *attacker) {
	each(200, func() {
		conn, err := dialRaw(a.Context(), a.addr(), nil, "")
		if err != nil {
			return
		}
		defer conn.Close()
		a.stay()
	})
	open, err := os.ReadDir(a.proc("fd"))
	// 50 each, those of SlashID and of honest callers, and what the process itself needs.
	if err != nil || len(open) > 200 {
		a.Errorf("%d descriptors are open, %v", len(open), err)
	}
}

const maxInFlight = 20

// overload makes calls over gRPC and REST at once, resets some more, and lets SlashID
// answer when each is refused or in flight.
func overload(a *attacker) {
	const n = 500
	resetRequests(a)
	grpcClient := quashv1.NewTokenServiceClient(a.dial(a.T))
	rest := a.client()
	defer rest.CloseIdleConnections()
	var answered atomic.Int64
	var calling sync.WaitGroup
	call := func(reason func() string) {
		calling.Go(func() {
			if got := reason(); got != "OVERLOADED" && got != "TOKEN_REJECTED" {
				a.Errorf("a call is answered %s", got)
			}
			answered.Add(1)
		})
	}
	for range n {
		call(func() string {
			_, err := grpcClient.Revoke(a.Context(), &quashv1.RevokeRequest{Token: "a.b.c"})
			return reasonOf(err)
		})
		call(func() string {
			resp, err := rest.Post(a.url()+dropInPath, "application/json", strings.NewReader(fmt.Sprintf(`{"token":"a.b.c"%60000s}`, "")))
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			return resp.Header.Get("Quash-Error-Reason")
		})
	}
	eventually(a.T, "each call is refused or in flight", func() bool {
		inFlight, _ := a.upstream.calls()
		return answered.Load()+inFlight >= 2*n || a.Failed()
	})
	a.upstream.release()
	calling.Wait()
	if _, most := a.upstream.calls(); most == 0 || most > maxInFlight {
		a.Errorf("SlashID had %d calls at once, want up to %d", most, maxInFlight)
	}
}

// reasonOf is the reason in an error's details.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return fmt.Sprint(err)
}
