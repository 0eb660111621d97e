package slashid

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Protocol is what TLS calls it.
const http2Protocol = "h2"

const (
	// bufferSize is that of what is read and of what is written.
	bufferSize = 16 << 10
	// initialWindow is that of connections, and of streams unless their peer says
	// otherwise (RFC 9113 section 6.9.2).
	initialWindow = 65_535
	// lastStream is the last one that a connection begins; one may not have more.
	lastStream = 1<<31 - 1
	// maxWindow is the largest that a window may be.
	maxWindow = 1<<31 - 1
	// maxFrame is the largest frame that is written, and the least that a peer must take.
	maxFrame = 16 << 10
	// maxOwed is how many pings and settings may wait for their answers to be written.
	maxOwed = 100
)

var (
	errDead       = fault("the peer gives no sign of life")
	errFlood      = fault("the peer asks faster than it reads")
	errWindow     = fault("the peer takes more than it can")
	errReset      = fault("the peer has ended the stream")
	errNoSettings = fault("the peer does not begin with its settings")
	errNoStreams  = fault("the peer takes no requests")
	errGoAway     = fault("the peer has closed the connection for new requests")
	errPush       = fault("the peer pushes, which it was told not to")
	errMalformed  = fault("the answer is malformed")
	errIdle       = fault("the connection is not needed any more")
)

// http2Conn is a connection of HTTP/2. Requests are written by one goroutine and answers
// read by another, so that none of them needs one of its own, nor a lock while anything
// is written. It does what quash needs of a client: requests and answers that are small,
// no answers unasked.
type http2Conn struct {
	pool   *pool
	conn   net.Conn
	buffer *bufio.Writer
	framer *http2.Framer // written to by the writer, read from by the reader
	// read is when the last frame came, in nanoseconds since born.
	born time.Time
	read atomic.Int64

	// These are guarded by the pool's lock: how many requests there are, how many there
	// may be, since when there are none, whether it takes no more.
	busy, limit int
	idleSince   time.Time
	retired     bool

	mu sync.Mutex
	// work wakes the writer, for what is in queue or todo.
	work  sync.Cond
	queue []*stream // requests, and those of which something is left
	todo  control
	// blocked are those of which the peer has to take more first.
	blocked  []*stream
	streams  map[uint32]*stream
	nextID   uint32
	toldLast bool  // whether the peer takes no more streams
	failure  error // why the connection has ended; nil while it has not
	// What the peer takes: of all streams, and of each that begins.
	window, streamWindow int64
	pinged               bool // and no sign of life since

	// This is the reader's: how much has been read of bodies that the peer does not
	// know of.
	taken uint32
	// These are the writer's.
	encoder     *hpack.Encoder
	block       bytes.Buffer
	body        []byte
	lastWritten []*stream // a slice to use again

	watch *time.Timer
}

// stream is an exchange on a connection. What follows id is guarded by the
// connection's lock while the stream is among the connection's; then it belongs to who
// has taken it out.
type stream struct {
	conn     *http2Conn
	exchange *exchange
	id       uint32 // 0 until it is begun

	window   int64  // what the peer takes of it
	rest     []byte // of its body, which waits for that
	written  bool   // whether all of it is, or is about to be
	answer   answer
	informed int // informational answers so far
	patience *time.Timer
}

// newHTTP2Conn begins HTTP/2 on a connection, and waits for the peer's settings: they
// say how many requests it takes.
func newHTTP2Conn(p *pool, conn net.Conn) (*http2Conn, error) {
	c := &http2Conn{
		pool: p, conn: conn, born: time.Now(),
		buffer:  bufio.NewWriterSize(conn, bufferSize),
		streams: map[uint32]*stream{}, nextID: 1, limit: maxStreams,
		window: initialWindow, streamWindow: initialWindow,
	}
	c.work.L = &c.mu
	c.framer = http2.NewFramer(c.buffer, bufio.NewReaderSize(conn, bufferSize))
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = maxBody
	c.encoder = hpack.NewEncoder(&c.block)
	stop := context.AfterFunc(p.ctx, func() { _ = conn.Close() })
	defer stop()
	if err := c.greet(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *http2Conn) greet() error {
	_ = c.conn.SetDeadline(time.Now().Add(dialTimeout))
	_, _ = io.WriteString(c.buffer, http2.ClientPreface)
	err := c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		// What is not read of an answer is not taken either.
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxBody},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxBody},
	)
	if err != nil {
		return err
	}
	if err := c.buffer.Flush(); err != nil {
		return err
	}
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return errNoSettings
	}
	limit, err := c.settle(settings)
	if err != nil {
		return err
	}
	if limit >= 0 {
		c.limit = limit
	}
	if c.limit == 0 {
		return errNoStreams
	}
	_ = c.conn.SetDeadline(time.Time{})
	_, err = c.acknowledge(false)
	return err
}

// start has the connection work.
func (c *http2Conn) start() {
	c.mu.Lock()
	if c.failure == nil { // by Close
		c.watch = time.AfterFunc(pingAfter, c.checkLife)
	}
	c.mu.Unlock()
	go c.write()
	go c.readAll()
}

// beginAll has exchanges written, which the pool has counted in.
func (c *http2Conn) beginAll(all []*exchange) {
	for _, x := range all {
		c.begin(x)
	}
}

// begin has an exchange written, which the pool has counted in.
func (c *http2Conn) begin(x *exchange) {
	s := &stream{conn: c, exchange: x}
	if !x.rides(s) {
		c.pool.freed(c, 1)
		return
	}
	c.mu.Lock()
	if c.toldLast || c.failure != nil {
		c.mu.Unlock()
		s.decline()
		return
	}
	c.queue = append(c.queue, s)
	c.mu.Unlock()
	c.work.Signal()
}

// maxDeclined is how many connections may turn an exchange away.
const maxDeclined = 3

// decline gives back an exchange for which it is too late here, though nothing of it was
// sent.
func (s *stream) decline() {
	s.conn.pool.freed(s.conn, 1)
	x := s.exchange
	x.declined++
	if x.declined < maxDeclined {
		s.conn.pool.begin(x)
		return
	}
	x.notConnected(errGoAway)
}

// abandon implements carrier.
func (s *stream) abandon(*exchange) {
	if s.unqueue() || s.takeOut(http2.ErrCodeCancel) {
		s.conn.pool.freed(s.conn, 1)
	}
	// Otherwise it is over, or the writer has it in its hands.
}

// unqueue takes a stream that has not begun out of the queue. It is false where it is not
// in there.
func (s *stream) unqueue() bool {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.id != 0 {
		return false
	}
	i := slices.Index(c.queue, s)
	if i < 0 {
		return false
	}
	c.queue = slices.Delete(c.queue, i, i+1)
	return true
}

// takeOut takes a stream that has not ended out of the connection, and tells the peer.
// It is false where there is no such stream.
func (s *stream) takeOut(code http2.ErrCode) bool {
	c := s.conn
	c.mu.Lock()
	known := c.isOpen(s)
	if known {
		c.forget(s)
		c.todo.resets = append(c.todo.resets, reset{s.id, code})
	}
	c.mu.Unlock()
	c.work.Signal()
	return known
}

// isOpen reports whether a stream is among the connection's. The caller holds the lock.
func (c *http2Conn) isOpen(s *stream) bool { return s.id != 0 && c.streams[s.id] == s }

// forget takes a stream out. The caller holds the lock.
func (c *http2Conn) forget(s *stream) {
	delete(c.streams, s.id)
	if s.rest != nil {
		c.blocked = slices.DeleteFunc(c.blocked, func(one *stream) bool { return one == s })
	}
	if s.patience != nil {
		s.patience.Stop()
	}
}

// checkLife sees to it that a connection whose peer has gone is not believed in.
func (c *http2Conn) checkLife() {
	silent := time.Since(c.born) - time.Duration(c.read.Load())
	c.mu.Lock()
	switch {
	case c.failure != nil:
	case silent < pingAfter:
		c.pinged = false
		c.watch.Reset(pingAfter - silent)
	case c.pinged:
		c.mu.Unlock()
		c.fail(errDead)
		return
	default:
		c.pinged, c.todo.ping = true, true
		c.watch.Reset(pingTimeout)
	}
	c.mu.Unlock()
	c.work.Signal()
}

// close ends a connection that has no requests.
func (c *http2Conn) close() { c.fail(errIdle) }

// fail ends the connection, and what is on it.
func (c *http2Conn) fail(err error) {
	c.mu.Lock()
	if c.failure != nil {
		c.mu.Unlock()
		return
	}
	c.failure = err
	unsent := c.unsent()
	broken := c.streamsFrom(0)
	if c.watch != nil {
		c.watch.Stop()
	}
	c.mu.Unlock()
	c.work.Signal()
	_ = c.conn.Close()
	c.pool.unshare(c)
	for _, s := range broken {
		s.breakOff(err)
	}
	c.pool.freed(c, len(broken))
	for _, s := range unsent {
		s.decline()
	}
}

// unsent takes out those that have not begun. The caller holds the lock.
func (c *http2Conn) unsent() (all []*stream) {
	queue := c.queue
	c.queue = nil
	for _, s := range queue {
		if s.id == 0 {
			all = append(all, s)
		} else {
			c.queue = append(c.queue, s)
		}
	}
	return all
}

// streamsFrom takes out those that have an id from first on. The caller holds the lock.
func (c *http2Conn) streamsFrom(first uint32) (all []*stream) {
	for id, s := range c.streams {
		if id >= first {
			c.forget(s)
			all = append(all, s)
		}
	}
	return all
}

// breakOff ends a stream that has no more to come: an answer whose head is there stands.
func (s *stream) breakOff(err error) {
	if s.answer.status != 0 {
		s.answer.bodyErr = err
		s.exchange.answered(s.answer)
		return
	}
	s.exchange.lost(err)
}
