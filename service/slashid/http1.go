package slashid

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxInformational is how many answers may come before the one that counts.
const maxInformational = 5

var errInformational = fault("too many informational answers")

// http1Conn is a connection of HTTP/1.1. It has one exchange at a time, which a goroutine
// of the connection's makes: its stack has grown already.
type http1Conn struct {
	pool *pool
	conn net.Conn
	// head bounds what is read; reader reads through it.
	head   io.LimitedReader
	reader *bufio.Reader
	next   chan *exchange // what there is to do; closed with the connection
	used   bool           // whether there has been an exchange on it

	idleSince time.Time // guarded by the pool's lock

	mu      sync.Mutex
	current *exchange // the one being made
}

func newHTTP1Conn(p *pool, conn net.Conn) *http1Conn {
	c := &http1Conn{pool: p, conn: conn, head: io.LimitedReader{R: conn}, next: make(chan *exchange, 1)}
	c.reader = bufio.NewReader(&c.head)
	go c.serve()
	return c
}

// isAlive reports whether a connection can be used again, as far as can be seen: its
// peer has neither closed it nor said anything unasked.
func (c *http1Conn) isAlive() bool { return c.reader.Buffered() == 0 && isSilent(c.conn) }

// close ends the connection. Who calls it has the connection for itself.
func (c *http1Conn) close() {
	_ = c.conn.Close()
	close(c.next)
}

// begin makes the exchange.
func (c *http1Conn) begin(x *exchange) {
	if !x.rides(c) {
		c.pool.release(c)
		return
	}
	c.next <- x
}

func (c *http1Conn) serve() {
	for x := range c.next {
		c.make(x)
	}
}

func (c *http1Conn) make(x *exchange) {
	defer func() {
		if value := recover(); value != nil {
			if c.swapCurrent(nil) == x { // it is not over yet
				c.close()
			}
			x.panicked(value)
		}
	}()
	c.swapCurrent(x)
	c.exchange(x)
}

func (c *http1Conn) swapCurrent(x *exchange) (before *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.current = c.current, x
	return before
}

// abandon implements carrier: what an exchange that nobody wants has made of the
// connection would have to be waited for.
func (c *http1Conn) abandon(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == x {
		c.current = nil
		_ = c.conn.Close()
	}
}

// buffers are those of requests.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// exchange sends the request and takes the answer.
func (c *http1Conn) exchange(x *exchange) {
	if c.used && !c.isAlive() {
		c.over(false)
		c.pool.begin(x)
		return
	}
	c.used = true
	if !x.send() {
		c.over(true)
		return
	}
	buffer := buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	*buffer = c.pool.endpoint.appendRequest((*buffer)[:0], x)
	n, writeErr := c.conn.Write(*buffer)
	clear(*buffer) // of the token
	buffers.Put(buffer)
	if writeErr != nil && n == 0 {
		c.over(false)
		x.notConnected(writeErr)
		return
	}
	// Who refuses a request need not read all of it, so there may be an answer.
	a, reusable, err := c.read()
	c.over(reusable && writeErr == nil)
	if err != nil {
		x.lost(errors.Join(writeErr, err))
		return
	}
	x.answered(a)
}

// over says that the exchange is, before whoever waits for it is told: the next one
// finds the connection free, unless it was abandoned.
func (c *http1Conn) over(reusable bool) {
	abandoned := c.swapCurrent(nil) == nil
	if reusable && !abandoned {
		c.pool.release(c)
		return
	}
	c.close()
	c.pool.gone()
}

// read takes an answer, and tells whether there can be another.
func (c *http1Conn) read() (a answer, reusable bool, err error) {
	c.head.N = maxBody
	if _, err := c.reader.Peek(1); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return a, false, err
	}
	read, _ := c.reader.Peek(c.reader.Buffered())
	if id, rest, ok := cutRevoked(read); ok {
		a = answer{protocol: "1.1", status: http.StatusNoContent, correlationID: string(id)}
		_, _ = c.reader.Discard(len(read) - len(rest))
		return a, len(rest) == 0, nil
	}
	resp, err := c.readHead() //nolint:bodyclose // that would read all of it
	if err != nil {
		return a, false, err
	}
	a = answer{
		protocol:      "1." + strconv.Itoa(resp.ProtoMinor),
		status:        resp.StatusCode,
		correlationID: resp.Header.Get(HeaderCorrelationID),
		retryAfter:    resp.Header.Get("Retry-After"),
	}
	if a.status == http.StatusSwitchingProtocols {
		return a, false, nil // what follows is no HTTP
	}
	if resp.ContentLength != 0 {
		c.head.N = maxBody
		_ = c.conn.SetReadDeadline(time.Now().Add(bodyPatience))
		a.body, a.bodyErr = io.ReadAll(io.LimitReader(resp.Body, maxBody))
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	whole := a.bodyErr == nil && len(a.body) < maxBody
	return a, whole && !resp.Close && !saysTooMuch(resp) && c.reader.Buffered() == 0, nil
}

// saysTooMuch reports whether an answer without a body speaks of one. If that comes, it
// must not be read as the next answer.
func saysTooMuch(resp *http.Response) bool {
	if resp.ContentLength != 0 {
		return false
	}
	length := resp.Header.Get("Content-Length")
	return len(resp.TransferEncoding) > 0 || length != "" && length != "0"
}

// readHead reads up to the body of the answer that counts. The first may take what there is
// of head.
func (c *http1Conn) readHead() (*http.Response, error) {
	for range maxInformational + 1 {
		resp, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
		c.head.N = maxBody
	}
	return nil, errInformational
}

// appendRequest appends the request of x as HTTP/1.1 has it.
func (e endpoint) appendRequest(b []byte, x *exchange) []byte {
	body := buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	*body = x.req.appendBody((*body)[:0])
	b = append(b, "POST "...)
	b = append(b, e.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, e.authority...)
	line := func(name header, value string, _ bool) {
		b = append(b, "\r\n"...)
		b = append(b, name.canonical...)
		b = append(b, ": "...)
		b = append(b, value...)
	}
	x.req.headers(len(*body), line)
	x.observed.headers(line)
	b = append(b, "\r\n\r\n"...)
	b = append(b, *body...)
	clear(*body)
	buffers.Put(body)
	return b
}
