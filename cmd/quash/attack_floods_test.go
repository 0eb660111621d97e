package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// floodSieges are of frames that cost nothing to send, in numbers. A server that
// queued an answer to each, or remembered each, would grow by a hundred bytes or so
// for every one of them: 800 MB for the eight million of the table.
func floodSieges() []*siege {
	const anyEnd = wasTaken + "|" + notTaken + "|" + wasClosed + "|" + wasLeftOpen // while there is still some to read
	ping := func(c *rawHTTP2, _ int) error { return c.WritePing(false, [8]byte{}) }
	settings := func(c *rawHTTP2, _ int) error { return c.WriteSettings() }
	reset := func(c *rawHTTP2, _ int) error {
		stream, err := c.begin(c.again, false)
		return errors.Join(err, c.WriteRSTStream(stream, http2.ErrCodeCancel))
	}
	floods := []struct {
		name       string
		frame      func(c *rawHTTP2, i int) error
		deaf       bool   // nothing is read of what comes back
		grpc, rest string // what may become of a connection
	}{
		{"PING", ping, false, wasClosed, wasTaken + "|" + wasClosed},
		{"PING, deaf", ping, true, wasClosed, wasTaken + "|" + wasClosed},
		{"SETTINGS", settings, false, wasTaken, wasTaken + "|" + wasClosed},
		{"SETTINGS, deaf", settings, true, anyEnd, anyEnd},
		{"PRIORITY", func(c *rawHTTP2, i int) error {
			return c.WritePriority(uint32(2*i+3), http2.PriorityParam{StreamDep: uint32(2*i + 5)})
		}, false, wasTaken, wasTaken},
		{"WINDOW_UPDATE", func(c *rawHTTP2, _ int) error { return c.WriteWindowUpdate(1, 1) }, false, wasTaken, wasTaken},
		{"empty DATA", func(c *rawHTTP2, _ int) error { return c.WriteData(1, false, nil) }, false, wasTaken, wasTaken},
		{"frames of no known type", func(c *rawHTTP2, _ int) error { return c.WriteRawFrame(0xbe, 0, 0, nil) }, false, wasTaken, wasTaken},
		{"rapid reset", reset, false, anyEnd, anyEnd},
		{"rapid reset, deaf", reset, true, anyEnd, anyEnd},
	}
	plain := &siege{name: "floods", bound: 128}
	// Of streams that are reset before their handlers have begun, net/http keeps up to
	// five times as many as may be open: 5,000 of 8 KB on each connection.
	secure := &siege{name: "floods, over TLS", secure: true, bound: int64(pick(256, 600))}
	for _, f := range floods {
		do := func(a *attacker) string { return a.flood(f.frame, f.deaf) }
		plain.attacks = append(plain.attacks, attack{name: f.name, door: overGRPC, do: do, fates: f.grpc})
		secure.attacks = append(secure.attacks, attack{name: f.name, door: overREST, do: do, fates: f.rest})
	}
	whole := attack{name: "whole requests, reset at once", do: (*attacker).resetRequests, fates: anyEnd}
	whole.door = overGRPC
	plain.attacks = append(plain.attacks, whole)
	whole.door = overREST
	secure.attacks = append(secure.attacks, whole)
	return []*siege{plain, secure}
}

// flood sends a frame over and over, on some connections with a stream each.
func (a *attacker) flood(frame func(c *rawHTTP2, i int) error, deaf bool) string {
	connections, n := pick(2, 8), pick(4000, 1_000_000)
	var sent atomic.Int64
	a.eachOverHTTP2(connections, func(_ int, c *rawHTTP2) {
		var err error
		// The second block says the same as the first, of what HPACK knows by then.
		_ = c.write(func() error {
			_, err := c.begin(c.header(a.path()), false)
			c.again = c.header(a.path())
			return err
		})
		_ = c.flush()
		var end <-chan string
		if !deaf {
			end = c.hear()
		}
		for i := range n {
			if i%1000 == 0 {
				_ = c.SetWriteDeadline(time.Now().Add(deafness))
			}
			if err = c.write(func() error { return frame(c, i) }); err != nil {
				break
			}
			sent.Add(1)
		}
		if deaf && err == nil {
			end = c.hear()
		}
		a.fates.add(c.endOfFlood(err, end))
	})
	return fmt.Sprintf("%d connections, %d thousand frames", connections, sent.Load()/1000)
}

// deafness is for how long the server must have read nothing to have stopped.
const deafness = 5 * time.Second

// hear reads until the server has read all, or has ended the connection.
func (c *rawHTTP2) hear() (end <-chan string) {
	ended := make(chan string, 1)
	go c.read(func(fate string) bool {
		if fate == wasTaken || fate == wasClosed || fate == wasLeftOpen {
			ended <- fate
			return false
		}
		return true
	})
	return ended
}

// endOfFlood waits until the server has read the whole flood, unless sending it has
// failed with err. end is how reading ends.
func (c *rawHTTP2) endOfFlood(err error, end <-chan string) string {
	if err == nil {
		err = c.write(func() error { return errors.Join(c.WritePing(false, lastPing), c.out.Flush()) })
	}
	if err == nil {
		return <-end
	}
	return fateOfSending(err)
}

// resetRequests takes back requests that have been made.
func (a *attacker) resetRequests() string {
	connections, n := pick(2, 8), pick(250, 50_000)
	body := a.request()
	a.eachOverHTTP2(connections, func(_ int, c *rawHTTP2) {
		var err error
		end := c.hear()
		for range n {
			if err = c.write(func() error {
				stream, err := c.begin(c.header(a.path()), false)
				return errors.Join(err, c.WriteData(stream, true, body), c.out.Flush(), c.WriteRSTStream(stream, http2.ErrCodeCancel))
			}); err != nil {
				break
			}
		}
		a.fates.add(c.endOfFlood(err, end))
	})
	return fmt.Sprintf("%d connections, %d of them", connections, connections*n)
}
