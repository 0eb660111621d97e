package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dialRaw connects to an address, over TLS if there is a configuration for it, for as long
// as a test may wait.
func dialRaw(ctx context.Context, addr string, cfg *tls.Config, protocol string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if cfg == nil {
		return conn, nil
	}
	cfg = cfg.Clone()
	cfg.ServerName, cfg.NextProtos = "127.0.0.1", []string{protocol}
	return tls.Client(conn, cfg), nil
}

// rawHTTP2 is a client connection that sends any frame. One goroutine may write, and
// one may read. Writes are buffered until flush.
type rawHTTP2 struct {
	net.Conn
	*http2.Framer

	mu      sync.Mutex // of out: the reader acknowledges pings
	out     *bufio.Writer
	block   bytes.Buffer
	encoder *hpack.Encoder
	streams uint32
}

func dialHTTP2(ctx context.Context, addr string, cfg *tls.Config, settings ...http2.Setting) (*rawHTTP2, error) {
	conn, err := dialRaw(ctx, addr, cfg, "h2")
	if err != nil {
		return nil, err
	}
	c := &rawHTTP2{Conn: conn, out: bufio.NewWriterSize(conn, 32<<10)}
	c.Framer = http2.NewFramer(c.out, conn)
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	_, _ = io.WriteString(c.out, http2.ClientPreface)
	_ = c.WriteSettings(settings...)
	if err := c.flush(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *rawHTTP2) Close() error { return c.Conn.Close() }

// write writes frames.
func (c *rawHTTP2) write(frames func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return frames()
}

func (c *rawHTTP2) flush() error { return c.write(c.out.Flush) }

// header encodes the header of a request for Revoke. fields holds pairs of a name and a
// value, which replace the usual ones or are added. The result can be sent once, because
// of HPACK's state.
func (c *rawHTTP2) header(fields ...string) []byte {
	usual := [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", rpcPath},
		{":authority", "quash"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	}
	if _, secure := c.Conn.(*tls.Conn); secure {
		usual[1][1] = "https"
	}
	for len(fields) > 0 {
		added := true
		for i := range usual {
			if usual[i][0] == fields[0] {
				usual[i][1], added = fields[1], false
			}
		}
		if added {
			usual = append(usual, [2]string{fields[0], fields[1]})
		}
		fields = fields[2:]
	}
	c.block.Reset()
	for _, field := range usual {
		// Large values stay out of the dynamic table, so that each costs its full size.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: len(field[1]) > 100})
	}
	return bytes.Clone(c.block.Bytes())
}

const maxFrame = 16 << 10

// begin begins a stream with a header, in as many frames as that takes. Call it in write.
func (c *rawHTTP2) begin(block []byte, end bool) (stream uint32, err error) {
	c.streams++
	stream = 2*c.streams - 1
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	err = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 && err == nil {
		next := block[:min(len(block), maxFrame)]
		block = block[len(next):]
		err = c.WriteContinuation(stream, len(block) == 0, next)
	}
	return stream, err
}

// data sends the body of a stream, in as many frames as that takes. Call it in write.
func (c *rawHTTP2) data(stream uint32, body []byte, end bool) (err error) {
	for ; len(body) > maxFrame && err == nil; body = body[maxFrame:] {
		err = c.WriteData(stream, false, body[:maxFrame])
	}
	return errors.Join(err, c.WriteData(stream, end, body))
}

// read passes frames on until the function returns false or the connection ends, and
// returns why it ended. It acknowledges pings, like a client that wants to stay.
func (c *rawHTTP2) read(next func(http2.Frame) (goOn bool)) error {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return err
		}
		if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
			_ = c.write(func() error { return errors.Join(c.WritePing(true, ping.Data), c.out.Flush()) })
		}
		if !next(frame) {
			return nil
		}
	}
}

// framed puts a message into gRPC's frame.
func framed(flag byte, message string) string { return announced(flag, len(message)) + message }

// announced is what precedes a message of n bytes in gRPC.
func announced(flag byte, n int) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(n)))
}

// timedOut reports whether reading or writing has failed because the other side did not
// do anything, not even close the connection.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
