package slashid

import (
	"bytes"
	"runtime"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// control is what the peer is to be told besides requests.
type control struct {
	acks   int // of settings
	pongs  [][8]byte
	resets []reset
	credit uint32 // how much more it may send
	ping   bool
	// resized is whether headers are compressed with a table of another size: of at most
	// table, and of smallest for a moment before.
	resized         bool
	smallest, table uint32
}

// reset is a stream that the peer need not go on with.
type reset struct {
	id   uint32
	code http2.ErrCode
}

func (t control) isEmpty() bool {
	return t.acks == 0 && len(t.pongs) == 0 && len(t.resets) == 0 && t.credit == 0 && !t.ping
}

// write is the writer: it writes what there is, and what comes meanwhile, in as few
// packets as it can.
func (c *http2Conn) write() {
	for {
		todo, queue, ok := c.next()
		if !ok {
			return
		}
		// A peer that reads nothing may send all the same, and so be no dead one.
		_ = c.conn.SetWriteDeadline(time.Now().Add(pingTimeout))
		err := c.writeControl(todo)
		written := 0
		for ; written < len(queue) && err == nil; written++ {
			err = c.writeStream(queue[written])
		}
		if err == nil && !c.hasMore() {
			runtime.Gosched()
		}
		if err == nil && !c.hasMore() {
			err = c.buffer.Flush()
		}
		if err != nil {
			c.fail(err)
			c.declineUnsent(queue[written:])
			return
		}
		clear(queue)
		c.lastWritten = queue[:0]
	}
}

// declineUnsent gives back those that have not begun. The connection has ended, and with
// it those that have.
func (c *http2Conn) declineUnsent(queue []*stream) {
	for _, s := range queue {
		if s.id == 0 {
			s.decline()
		}
	}
}

// next waits for what is to be written. It is false when the connection has ended.
func (c *http2Conn) next() (todo control, queue []*stream, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.failure == nil && c.isDone() {
		c.work.Wait()
	}
	todo, queue = c.todo, c.queue
	c.todo, c.queue = control{}, c.lastWritten
	return todo, queue, c.failure == nil
}

func (c *http2Conn) isDone() bool { return len(c.queue) == 0 && c.todo.isEmpty() }

func (c *http2Conn) hasMore() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.isDone()
}

func (c *http2Conn) writeControl(todo control) error {
	if todo.resized {
		c.encoder.SetMaxDynamicTableSizeLimit(todo.smallest) // RFC 7541 section 4.2
		c.encoder.SetMaxDynamicTableSizeLimit(todo.table)
	}
	for range todo.acks {
		if err := c.framer.WriteSettingsAck(); err != nil {
			return err
		}
	}
	for _, data := range todo.pongs {
		if err := c.framer.WritePing(true, data); err != nil {
			return err
		}
	}
	for _, r := range todo.resets {
		if err := c.framer.WriteRSTStream(r.id, r.code); err != nil {
			return err
		}
	}
	if todo.credit > 0 {
		if err := c.framer.WriteWindowUpdate(0, todo.credit); err != nil {
			return err
		}
	}
	if todo.ping {
		return c.framer.WritePing(false, [8]byte{})
	}
	return nil
}

// writeStream writes a request, or what is left of it.
func (c *http2Conn) writeStream(s *stream) error {
	if s.id != 0 {
		return c.writeBody(s, s.rest)
	}
	c.mu.Lock()
	full := c.isFull()
	c.mu.Unlock()
	if full {
		s.decline()
		return nil
	}
	if !s.exchange.send() {
		c.pool.freed(c, 1)
		return nil
	}
	if !c.open(s) {
		return nil
	}
	c.body = s.exchange.req.appendBody(c.body[:0])
	defer func() { clear(c.body) }() // of the token
	c.encode(s.exchange, len(c.body))
	if err := c.writeHeaders(s.id); err != nil {
		return err
	}
	return c.writeBody(s, c.body)
}

// isFull reports whether the connection takes no more requests, ever. The caller holds
// the lock.
func (c *http2Conn) isFull() bool { return c.toldLast || c.failure != nil }

// open begins a stream whose request counts as sent, unless it has become too late for
// it.
func (c *http2Conn) open(s *stream) bool {
	c.mu.Lock()
	if !c.isFull() && s.exchange.state.Load() != ended {
		s.id, s.window = c.nextID, c.streamWindow
		c.streams[s.id] = s
		c.nextID += 2
		exhausted := c.nextID > lastStream
		c.toldLast = exhausted
		c.mu.Unlock()
		if exhausted {
			c.pool.unshare(c)
		}
		return true
	}
	c.mu.Unlock()
	s.exchange.notConnected(errGoAway) // nothing of it was written
	c.pool.freed(c, 1)
	return false
}

// encode puts the header of a request into block.
func (c *http2Conn) encode(x *exchange, bodyLength int) {
	c.block.Reset()
	field := func(name, value string, singular bool) {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: singular})
	}
	e := c.pool.endpoint
	field(":method", "POST", repeated)
	field(":scheme", e.scheme, repeated)
	field(":authority", e.authority, repeated)
	field(":path", e.path, repeated)
	line := func(name header, value string, singular bool) { field(name.lower, value, singular) }
	x.req.headers(bodyLength, line)
	x.observed.headers(line)
}

// writeHeaders writes block, in as many frames as it takes.
func (c *http2Conn) writeHeaders(id uint32) error {
	block := c.block.Bytes()
	n := min(len(block), maxFrame)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:n], EndHeaders: n == len(block)})
	for block = block[n:]; len(block) > 0 && err == nil; block = block[n:] {
		n = min(len(block), maxFrame)
		err = c.framer.WriteContinuation(id, n == len(block), block[:n])
	}
	return err
}

// writeBody writes as much of the body as the peer takes. The rest waits.
func (c *http2Conn) writeBody(s *stream, body []byte) error {
	for len(body) > 0 {
		n := c.take(s, body)
		if n == 0 {
			return nil
		}
		if err := c.framer.WriteData(s.id, n == len(body), body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// take is how much of the body may be written now. When that is nothing, what is left is
// kept for when it is something, if it still matters.
func (c *http2Conn) take(s *stream, body []byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isOpen(s) {
		return 0
	}
	n := int(min(int64(len(body)), c.window, s.window, maxFrame))
	if n <= 0 {
		if s.rest == nil {
			body = bytes.Clone(body) // the buffer is for the next one
		}
		s.rest = body
		c.blocked = append(c.blocked, s)
		return 0
	}
	s.rest = nil
	c.window -= int64(n)
	s.window -= int64(n)
	s.written = n == len(body)
	return n
}

// unblock has those written that had to wait. The caller holds the lock.
func (c *http2Conn) unblock() {
	c.queue = append(c.queue, c.blocked...)
	c.blocked = nil
}
