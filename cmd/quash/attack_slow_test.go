package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// slowSieges are of clients that begin and do not go on. Most of what they begin
// costs a few kilobytes, for as long as the time limits let it be. Requests of which
// 48 KB are there are bound in number, to 300 or 1,000: 15 or 48 MB, of which what
// the garbage collector has not seen yet makes some times as much. Without the
// limit 4,000 or 20,000 of them take 200 MB or 1 GB.
func slowSieges() []*siege {
	limits := []string{"--header-timeout=2s", "--transfer-timeout=2s", "--idle-timeout=2s", "--max-arriving=300"}
	if *inNumbers {
		// The handshakes of the attackers take this machine's time.
		limits = []string{"--header-timeout=10s", "--transfer-timeout=2s", "--idle-timeout=2s"}
	}
	lifted := []string{"--header-timeout=1h", "--transfer-timeout=1h", "--idle-timeout=1h", "--max-arriving=10000"}
	return []*siege{
		{
			name:   "slow",
			flags:  limits,
			bound:  int64(pick(128, 400)),
			lifted: lifted,
			attacks: []attack{
				{name: "a header in drips", door: overREST, do: (*attacker).dripHeader, fates: wasClosed},
				{name: "silence", door: overREST, do: (*attacker).beSilent, fates: wasClosed},
				{name: "silence", door: overGRPC, do: (*attacker).beSilent, fates: wasClosed},
				{name: "SETTINGS, then nothing", door: overGRPC, do: (*attacker).onlyConnect, fates: wasClosed},
				{name: "half a HEADERS frame", door: overGRPC, do: (*attacker).halfAFrame, fates: wasClosed, long: true},
				{name: "CONTINUATION in drips", door: overGRPC, do: (*attacker).dripContinuation, fates: wasClosed, long: true},
				{name: "a body in drips", door: overREST, do: (*attacker).dripBody, fates: "400|429"},
				{name: "a header, no message", door: overGRPC, do: (*attacker).noMessage, fates: "Canceled"},
				{name: "a message in drips", door: overGRPC, do: (*attacker).dripMessage, fates: "Canceled", holds: true},
			},
		},
		{
			name:   "slow, over TLS",
			secure: true,
			flags:  limits,
			// While a machine has more to do than it can, 1,000 connections hold the
			// 256 KiB that each may send ahead.
			bound:  int64(pick(160, 1024)),
			lifted: lifted,
			attacks: []attack{
				{name: "silence", door: overREST, do: (*attacker).beSilent, fates: wasClosed},
				{name: "silence", door: overGRPC, do: (*attacker).beSilent, fates: wasClosed},
				{name: "SETTINGS, then nothing", door: overREST, do: (*attacker).onlyConnect, fates: wasClosed},
				{name: "half a HEADERS frame", door: overREST, do: (*attacker).halfAFrame, fates: wasClosed},
				{name: "CONTINUATION in drips", door: overREST, do: (*attacker).dripContinuation, fates: wasClosed, long: true},
				{name: "a body in drips", door: overREST, do: (*attacker).dripMessage, fates: "400|429"},
			},
		},
		{
			name:  "slow, with the time limits that there are by default",
			bound: int64(pick(128, 400)),
			attacks: []attack{
				{name: "a header in drips for a while", door: overREST, do: (*attacker).dripHeaderForAWhile, fates: wasLeftOpen},
				{name: "a body in drips for a while", door: overREST, do: (*attacker).dripBodyForAWhile, fates: wasLeftOpen + "|400|429"},
				{name: "silence for a while", door: overGRPC, do: (*attacker).beSilentForAWhile, fates: wasLeftOpen},
				{name: "headers, no messages, for a while", door: overGRPC, do: (*attacker).noMessageForAWhile, fates: "Canceled|" + wasLeftOpen},
			},
		},
	}
}

// connections opens n connections, begins something on each, and waits until the
// server has ended them.
func (a *attacker) connections(n int, begin func(conn net.Conn) error) {
	each(n, func(int) {
		conn, err := a.connect()
		if err != nil {
			a.fates.add(notLetIn)
			return
		}
		defer conn.Close()
		if err := begin(conn); err != nil {
			a.fates.add(fateOf(err))
			return
		}
		a.fates.add(fateOfHTTP1(conn))
	})
}

// forAWhile does the same, but leaves when honest callers have called for a while.
func (a *attacker) forAWhile(n int, begin func(conn net.Conn) error) {
	gone := make(chan struct{})
	go func() {
		a.stay()
		close(gone)
	}()
	a.connections(n, func(conn net.Conn) error {
		go func() {
			<-gone
			_ = conn.Close()
		}()
		return begin(conn)
	})
	<-gone
}

func nothing(net.Conn) error { return nil }

func (a *attacker) beSilent() string {
	n := pick(50, 2000)
	a.connections(n, nothing)
	return fmt.Sprintf("%d connections", n)
}

func (a *attacker) beSilentForAWhile() string {
	n := pick(200, 4000)
	a.forAWhile(n, nothing)
	return fmt.Sprintf("%d connections", n)
}

func beginHeader(conn net.Conn) error {
	_, err := io.WriteString(conn, "POST "+dropInPath+" HTTP/1.1\r\nHost: quash\r\nX: ")
	go drip(conn)
	return err
}

func (a *attacker) dripHeader() string {
	n := pick(50, 2000)
	a.connections(n, beginHeader)
	return fmt.Sprintf("%d connections, a byte of a header every 100 ms", n)
}

func (a *attacker) dripHeaderForAWhile() string {
	n := pick(100, 2000)
	a.forAWhile(n, beginHeader)
	return fmt.Sprintf("%d connections, a byte of a header every 100 ms", n)
}

func beginBody(conn net.Conn) error {
	_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Length: 60000\r\n\r\n%50000s", dropInPath, "")
	go drip(conn)
	return err
}

func (a *attacker) dripBody() string {
	n := pick(50, 2000)
	a.connections(n, beginBody)
	return fmt.Sprintf("%d connections, 50 KB of a body and then a byte every 100 ms", n)
}

func (a *attacker) dripBodyForAWhile() string {
	n := pick(100, 2000)
	a.forAWhile(n, beginBody)
	return fmt.Sprintf("%d connections, 50 KB of a body and then a byte every 100 ms", n)
}

// onHTTP2 opens n connections, begins something on each, and waits until the server
// has ended them.
func (a *attacker) onHTTP2(n int, begin func(c *rawHTTP2) error) {
	a.eachOverHTTP2(n, func(_ int, c *rawHTTP2) {
		if err := c.write(func() error { return begin(c) }); err != nil {
			a.fates.add(fateOf(err))
			return
		}
		_ = c.flush()
		c.read(func(fate string) bool {
			a.fates.add(fate)
			return true
		})
	})
}

func (a *attacker) onlyConnect() string {
	n := pick(20, 1000)
	a.onHTTP2(n, func(*rawHTTP2) error { return nil })
	return fmt.Sprintf("%d connections, SETTINGS on each", n)
}

func (a *attacker) halfAFrame() string {
	n := pick(20, 1000)
	a.onHTTP2(n, func(c *rawHTTP2) error {
		// HEADERS of 16 KiB of stream 1.
		_, err := c.out.Write([]byte{0, 0x40, 0, byte(http2.FrameHeaders), byte(http2.FlagHeadersEndHeaders), 0, 0, 0, 1})
		go drip(c.Conn)
		return err
	})
	return fmt.Sprintf("%d connections, the announcement of HEADERS and then a byte every 100 ms", n)
}

func (a *attacker) dripContinuation() string {
	n := pick(20, 1000)
	a.onHTTP2(n, func(c *rawHTTP2) error {
		// The last field has a value of 20,000 bytes, of which there is but the length.
		block := append(c.header(a.path()), 0, 1, 'x', 0x7f, 0xa1, 0x9b, 0x01)
		go func() {
			ticker := time.NewTicker(100 * time.Millisecond)
			defer ticker.Stop()
			for range ticker.C {
				if c.write(func() error { return c.WriteContinuation(1, false, []byte{'a'}) }) != nil || c.flush() != nil {
					return
				}
			}
		}()
		return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
	})
	return fmt.Sprintf("%d connections, HEADERS and then CONTINUATION of a byte every 100 ms", n)
}

// streams begins n streams, on as many connections as that takes, and waits for the
// end of each.
func (a *attacker) streams(n, perConnection int, begin func(c *rawHTTP2) error) {
	a.eachOverHTTP2((n+perConnection-1)/perConnection, func(i int, c *rawHTTP2) {
		here := min(perConnection, n-i*perConnection)
		go func() {
			for range here {
				if c.write(func() error { return begin(c) }) != nil {
					return
				}
			}
			_ = c.flush()
		}()
		ended := 0
		c.read(func(fate string) bool {
			a.fates.add(fate)
			ended++
			return ended < here
		})
	})
}

func (a *attacker) noMessage() string {
	n := pick(1000, 20_000)
	a.streams(n, 1000, func(c *rawHTTP2) error {
		_, err := c.begin(c.header(revokePath), false)
		return err
	})
	return fmt.Sprintf("%d streams, HEADERS on each", n)
}

func (a *attacker) noMessageForAWhile() string {
	n := pick(4, 40)
	each(n, func(int) {
		c, err := a.connectHTTP2()
		if err != nil {
			a.fates.add(notLetIn)
			return
		}
		leave := a.listen(c, "")
		for range 900 {
			_ = c.write(func() error {
				_, err := c.begin(c.header(revokePath), false)
				return err
			})
		}
		_ = c.flush()
		a.stay()
		leave()
	})
	return fmt.Sprintf("%d × 900 streams, HEADERS on each", n)
}

// dripMessage sends most of a message of 60 KB, or of a body.
func (a *attacker) dripMessage() string {
	n, perConnection := pick(3000, 20_000), 100
	if a.door == overREST {
		n, perConnection = pick(200, 5000), 5 // what a connection may send ahead there
	}
	part := make([]byte, 16<<10)
	a.streams(n, perConnection, func(c *rawHTTP2) error {
		stream, err := c.begin(c.header(a.path()), false)
		if a.door == overGRPC {
			err = c.WriteData(stream, false, announce(60_000))
		}
		for range 3 {
			err = c.WriteData(stream, false, part)
		}
		return err
	})
	return fmt.Sprintf("%d streams, 48 KB of 60 on each", n)
}
