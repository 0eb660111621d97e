package slashid

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxStreams is how many requests an HTTP/2 connection is given at a time, though
	// its peer may allow more: they are lost together.
	maxStreams = 500
	// maxDials is how many connections are made at a time.
	maxDials = 16
)

var errClosed = fault("the client is closed")

// pool gives each exchange a connection: an HTTP/2 connection with room, an idle one of
// HTTP/1.1, or else the first that becomes either. Meanwhile it dials as many as those
// that wait will need. No lock is held while it does.
type pool struct {
	dialer   *dialer
	endpoint endpoint
	ctx      context.Context //nolint:containedctx // the pool's life, which dials end with
	cancel   context.CancelFunc

	mu    sync.Mutex
	queue list.List // of *exchange, the longest first
	// shared are the HTTP/2 connections that take requests.
	shared []*http2Conn
	// idle are the connections of HTTP/1.1 that nobody uses, the longest first.
	idle []*http1Conn
	// dialing is how many connections are being made; room is how many requests the
	// next is expected to take, 0 while that is not known.
	dialing, room int
	reaper        *time.Timer
	closed        bool
}

func newPool(d *dialer, e endpoint) *pool {
	p := &pool{dialer: d, endpoint: e}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// begin finds a connection for x, now or later.
func (p *pool) begin(x *exchange) {
	if !x.rides(p) {
		return
	}
	p.mu.Lock()
	if x.state.Load() == ended { // and abandon has been here
		p.mu.Unlock()
		return
	}
	if p.closed {
		p.mu.Unlock()
		x.notConnected(errClosed)
		return
	}
	if c := p.leastBusy(); c != nil {
		c.busy++
		p.mu.Unlock()
		c.begin(x)
		return
	}
	if len(p.idle) == 0 {
		p.enqueue(x)
		p.mu.Unlock()
		return
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle = slices.Delete(p.idle, last, last+1) // which forgets it, too
	p.mu.Unlock()
	c.begin(x)
}

// leastBusy is the HTTP/2 connection with room that has the fewest requests, so that
// as few as can be are lost with one. The caller holds the lock.
func (p *pool) leastBusy() (least *http2Conn) {
	for _, c := range p.shared {
		if c.busy < c.limit && (least == nil || c.busy < least.busy) {
			least = c
		}
	}
	return least
}

// enqueue has x wait. The caller holds the lock.
func (p *pool) enqueue(x *exchange) {
	x.place = p.queue.PushBack(x)
	p.dial()
}

// dequeue takes the one that has waited longest, nil when nobody waits. The caller holds
// the lock.
func (p *pool) dequeue() *exchange {
	first := p.queue.Front()
	if first == nil {
		return nil
	}
	x := first.Value.(*exchange) //nolint:forcetypeassert // nothing else is in it
	p.remove(x)
	return x
}

func (p *pool) remove(x *exchange) {
	p.queue.Remove(x.place)
	x.place = nil
}

// abandon implements carrier.
func (p *pool) abandon(x *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.place != nil {
		p.remove(x)
	}
}

// dial makes as many connections as those that wait will need. Before the first one is
// there it is not known how many that is, so that it is the only one. The caller holds
// the lock.
func (p *pool) dial() {
	if p.closed || p.room == 0 && p.dialing > 0 {
		return
	}
	for p.dialing < maxDials && p.queue.Len() > p.dialing*max(p.room, 1) {
		p.dialing++
		go p.connect()
		if p.room == 0 {
			return
		}
	}
}

// connect makes one connection and gives it to those that wait.
func (p *pool) connect() {
	conn, protocol, err := p.dialer.connect(p.ctx)
	var c2 *http2Conn
	if err == nil && protocol == http2Protocol {
		c2, err = newHTTP2Conn(p, conn)
	}
	switch {
	case err != nil:
		p.unconnected(err)
	case c2 != nil:
		p.share(c2)
	default:
		c := newHTTP1Conn(p, conn)
		p.mu.Lock()
		p.dialing--
		p.room = 1
		p.mu.Unlock()
		p.release(c)
	}
}

// unconnected tells those that have waited for a connection that there is none.
func (p *pool) unconnected(err error) {
	p.mu.Lock()
	p.dialing--
	count := p.queue.Len()
	if p.room > 0 { // the others wait for other connections
		count = min(count, p.room)
	}
	told := make([]*exchange, count)
	for i := range told {
		told[i] = p.dequeue()
	}
	p.dial()
	p.mu.Unlock()
	for _, x := range told {
		x.notConnected(err)
	}
}

// share takes a new HTTP/2 connection in.
func (p *pool) share(c *http2Conn) {
	p.mu.Lock()
	p.dialing--
	p.room = max(c.limit, 1)
	if p.closed {
		p.mu.Unlock()
		c.close()
		return
	}
	c.idleSince = time.Now()
	p.shared = append(p.shared, c)
	p.reap()
	next := p.fill(c)
	p.mu.Unlock()
	c.start()
	c.beginAll(next)
}

// fill takes those that wait, as far as c has room. Those that are left over may need
// another connection. The caller holds the lock since c has room, so that nobody who
// comes later gets it first, and then has c begin them.
func (p *pool) fill(c *http2Conn) (next []*exchange) {
	for c.busy < c.limit {
		x := p.dequeue()
		if x == nil {
			break
		}
		c.busy++
		next = append(next, x)
	}
	p.dial()
	return next
}

// resize says how many requests c may have at a time from now on; a negative limit says
// nothing.
func (p *pool) resize(c *http2Conn, limit int) {
	if limit < 0 {
		return
	}
	p.mu.Lock()
	if !c.retired {
		c.limit = limit
	}
	next := p.fill(c)
	p.mu.Unlock()
	c.beginAll(next)
}

// freed says that c has n requests fewer.
func (p *pool) freed(c *http2Conn, n int) {
	p.mu.Lock()
	c.busy -= n
	if c.busy == 0 {
		c.idleSince = time.Now()
	}
	next := p.fill(c)
	done := c.busy == 0 && (c.retired || p.closed)
	p.mu.Unlock()
	if done {
		c.close()
	}
	c.beginAll(next)
}

// unshare gives c no more requests.
func (p *pool) unshare(c *http2Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.retired = true
	c.limit = 0
	p.shared = slices.DeleteFunc(p.shared, func(one *http2Conn) bool { return one == c })
}

// release gives a connection of HTTP/1.1 to who has waited longest, or keeps it.
func (p *pool) release(c *http1Conn) {
	p.mu.Lock()
	x := p.dequeue()
	keep := x == nil && !p.closed && len(p.idle) < maxIdle
	if keep {
		c.idleSince = time.Now()
		p.idle = append(p.idle, c)
		p.reap()
	}
	p.dial()
	p.mu.Unlock()
	switch {
	case x != nil:
		c.begin(x)
	case !keep:
		c.close()
	}
}

// gone says that a connection of HTTP/1.1 has ended: others may be needed.
func (p *pool) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial()
}

// reap sees to it that connections do not stay idle for ever. The caller holds the lock.
func (p *pool) reap() {
	if p.reaper == nil {
		p.reaper = time.AfterFunc(idleTimeout, p.reapIdle)
	}
}

func (p *pool) reapIdle() {
	p.mu.Lock()
	var old []interface{ close() }
	since := time.Now().Add(-idleTimeout)
	for len(p.idle) > 0 && !p.idle[0].idleSince.After(since) {
		old = append(old, p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	var busy []*http2Conn
	for _, c := range p.shared {
		if c.busy > 0 || c.idleSince.After(since) {
			busy = append(busy, c)
			continue
		}
		c.retired, c.limit = true, 0
		old = append(old, c)
	}
	p.shared = busy
	p.reaper = nil
	if !p.closed && len(p.idle)+len(p.shared) > 0 {
		p.reaper = time.AfterFunc(idleTimeout/4, p.reapIdle)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	var unused []interface{ close() }
	for _, c := range p.idle {
		unused = append(unused, c)
	}
	p.idle = nil
	for _, c := range p.shared {
		if c.busy == 0 {
			unused = append(unused, c)
		}
	}
	var told []*exchange
	for x := p.dequeue(); x != nil; x = p.dequeue() {
		told = append(told, x)
	}
	p.mu.Unlock()
	p.cancel()
	for _, x := range told {
		x.notConnected(errClosed)
	}
	for _, c := range unused {
		c.close()
	}
}
