package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// unreadSieges are of clients that do not take what they asked for. A call whose
// answer is not taken keeps its header, of 30 KB here: what bounds that is how many
// there may be on a connection. 100 of them on each of 20 connections are 72 MB, the
// 1,000 that the attackers try are ten times as much.
func unreadSieges() []*siege {
	const (
		few     = "--max-streams-per-connection=100"
		many    = "--max-streams-per-connection=1000000"
		refused = "REFUSED_STREAM|" + wasLeftOpen
		anyEnd  = wasTaken + "|" + notTaken + "|" + wasClosed
	)
	window := func(path string) func(*attacker) string {
		return func(a *attacker) string { return a.closeWindow(path) }
	}
	return []*siege{
		{
			name:   "unread",
			flags:  []string{few},
			bound:  int64(pick(128, 320)),
			lifted: []string{many},
			attacks: []attack{
				{name: "answers to a window of 0", door: overGRPC, do: window(healthPath + "Check"), fates: refused, holds: true},
				{name: "watching health in a window of 0", door: overGRPC, do: window(healthPath + "Watch"), fates: refused, holds: true},
				{name: "calls of which no answer is read", door: overGRPC, do: (*attacker).callDeafly, fates: anyEnd},
				{name: "pipelined requests of which no answer is read", door: overREST, do: (*attacker).pipelineDeafly, fates: notTaken + "|" + wasClosed},
			},
		},
		{
			name:   "unread, over TLS",
			secure: true,
			flags:  []string{few},
			bound:  int64(pick(128, 320)),
			lifted: []string{many},
			attacks: []attack{
				{name: "answers to a window of 0", door: overREST, do: window(nativePath), fates: refused + "|STREAM_CLOSED", holds: true},
			},
		},
		{
			// A frame of settings that waits to be acknowledged takes 43 KB: 3,000 of them
			// 130 MB, on each connection. Package queue makes it 100 of them.
			name:   "unread settings",
			bound:  64,
			lifted: []string{"GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT=10000"}, // as grpc-go has it
			attacks: []attack{
				{name: "SETTINGS behind answers that are not read", door: overGRPC, do: (*attacker).stuffSettings, fates: notTaken, holds: true},
			},
		},
	}
}

// closeWindow makes calls with large headers, and lets no byte of an answer come.
func (a *attacker) closeWindow(path string) string {
	connections, n := pick(2, 20), 1000
	body := []byte("{}")
	if a.door == overGRPC {
		body = announce(0)
	}
	value := strings.Repeat("~", 30_000)
	each(connections, func(int) {
		c, err := a.connectHTTP2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		if err != nil {
			a.fates.add(notLetIn)
			return
		}
		leave := a.listen(c, "400") // an answer's header comes, the rest does not
		for range n {
			_ = c.write(func() error {
				stream, _ := c.begin(c.header(path, hpack.HeaderField{Name: "x", Value: value, Sensitive: true}), false)
				return c.WriteData(stream, true, body)
			})
		}
		_ = c.flush()
		a.stay()
		leave()
	})
	return fmt.Sprintf("%d connections, %d calls on each with 30 KB of header", connections, n)
}

// stuffSettings fills the connection with answers, until the server can write no
// more, and then has it acknowledge settings.
func (a *attacker) stuffSettings() string {
	connections, n := pick(1, 4), 3000
	settings := make([]http2.Setting, 2700) // 16 KB
	for i := range settings {
		settings[i] = http2.Setting{ID: http2.SettingID(1000 + i)}
	}
	var sent atomic.Int64
	a.eachOverHTTP2(connections, func(_ int, c *rawHTTP2) {
		var err error
		// The answer repeats the timeout, and HPACK must not know it yet.
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for i := range 6000 {
			if i%400 == 399 { // no more than may be open at once
				_ = c.flush()
				<-ticker.C
			}
			_ = c.SetWriteDeadline(time.Now().Add(deafness / 10))
			if err = c.write(func() error {
				_, err := c.begin(c.header(unknownPath, hpack.HeaderField{Name: "grpc-timeout", Value: fmt.Sprint(i, strings.Repeat("~", 1000))}), true)
				return err
			}); err != nil {
				break
			}
		}
		for range n {
			_ = c.SetWriteDeadline(time.Now().Add(deafness / 10))
			if err = c.write(func() error { return c.WriteSettings(settings...) }); err != nil {
				break
			}
			sent.Add(1)
		}
		a.stay()
		a.fates.add(fateOfSending(err))
	})
	return fmt.Sprintf("%d connections, %d frames of 16 KB", connections, sent.Load())
}

func (a *attacker) callDeafly() string {
	connections, n := pick(2, 20), pick(1000, 100_000)
	body := a.request()
	a.eachOverHTTP2(connections, func(_ int, c *rawHTTP2) {
		var err error
		for range n {
			_ = c.SetWriteDeadline(time.Now().Add(deafness))
			if err = c.write(func() error {
				stream, _ := c.begin(c.header(revokePath), false)
				return c.WriteData(stream, true, body)
			}); err != nil {
				break
			}
		}
		a.stay()
		a.fates.add(fateOfSending(err))
	})
	return fmt.Sprintf("%d connections, %d calls on each", connections, n)
}

func (a *attacker) pipelineDeafly() string {
	connections := pick(5, 200)
	requests := strings.Repeat("POST /nowhere HTTP/1.1\r\nHost: quash\r\nContent-Length: 0\r\n\r\n", 100)
	each(connections, func(int) {
		conn, err := a.connect()
		if err != nil {
			a.fates.add(notLetIn)
			return
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
		for err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(deafness / 5))
			_, err = io.WriteString(conn, requests)
		}
		a.fates.add(fateOfSending(err))
	})
	return fmt.Sprintf("%d connections, as many as were taken", connections)
}
