package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dialRaw connects to an address, over TLS if cfg is not nil. The deadline of the connection
// is the longest wait of a test.
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

// rawHTTP2 is an HTTP/2 client or server that can send any frame, including invalid ones.
// Frames are buffered until flush. One goroutine may write while another reads.
type rawHTTP2 struct {
	net.Conn
	*http2.Framer // writes

	reader  *http2.Framer
	out     bytes.Buffer
	block   bytes.Buffer
	encoder *hpack.Encoder
	streams uint32
}

func newRawHTTP2(conn net.Conn) *rawHTTP2 {
	c := &rawHTTP2{Conn: conn}
	c.Framer = http2.NewFramer(&c.out, nil)
	c.AllowIllegalWrites = true
	c.reader = http2.NewFramer(conn, conn)
	c.reader.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	return c
}

func dialHTTP2(ctx context.Context, addr string, cfg *tls.Config, settings ...http2.Setting) (*rawHTTP2, error) {
	conn, err := dialRaw(ctx, addr, cfg, "h2")
	if err != nil {
		return nil, err
	}
	c := newRawHTTP2(conn)
	c.out.WriteString(http2.ClientPreface)
	_ = c.WriteSettings(settings...)
	if err := c.flush(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *rawHTTP2) Close() error { return c.Conn.Close() }

// flush sends all buffered frames in one write, so that the acknowledgements of the reader do
// not get in between.
func (c *rawHTTP2) flush() error {
	_, err := c.Write(c.out.Bytes())
	c.out.Reset()
	return err
}

// fields encodes pairs of a name and a value. Encoding changes the state of HPACK, so the
// result can be sent only once.
func (c *rawHTTP2) fields(pairs ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		// Keep large values out of the dynamic table, so that each is sent in full.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: len(pairs[i+1]) > 100})
	}
	return bytes.Clone(c.block.Bytes())
}

// header encodes the header of a Revoke request. more replaces or adds fields.
func (c *rawHTTP2) header(more ...string) []byte {
	pairs := []string{
		":method", "POST", ":scheme", "http", ":path", rpcPath, ":authority", "quash",
		"content-type", "application/grpc", "te", "trailers",
	}
	if _, secure := c.Conn.(*tls.Conn); secure {
		pairs[3] = "https"
	}
	usual := len(pairs)
next:
	for ; len(more) > 0; more = more[2:] {
		for i := 0; i < usual; i += 2 {
			if pairs[i] == more[0] {
				pairs[i+1] = more[1]
				continue next
			}
		}
		pairs = append(pairs, more[0], more[1])
	}
	return c.fields(pairs...)
}

const maxFrame = 16 << 10

// begin opens a stream with a header.
func (c *rawHTTP2) begin(block []byte, end bool) (stream uint32) {
	c.streams++
	stream = 2*c.streams - 1
	c.headers(stream, block, end)
	return stream
}

// headers sends a header in as many frames as necessary.
func (c *rawHTTP2) headers(stream uint32, block []byte, end bool) {
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		next := block[:min(len(block), maxFrame)]
		block = block[len(next):]
		_ = c.WriteContinuation(stream, len(block) == 0, next)
	}
}

// data sends the body of a stream in as many frames as necessary.
func (c *rawHTTP2) data(stream uint32, body []byte, end bool) {
	for ; len(body) > maxFrame; body = body[maxFrame:] {
		_ = c.WriteData(stream, false, body[:maxFrame])
	}
	_ = c.WriteData(stream, end, body)
}

// read passes each frame to next. It returns nil when next returns false, or the error that
// ends the connection. It acknowledges settings and pings.
func (c *rawHTTP2) read(next func(http2.Frame) (more bool)) error {
	for {
		frame, err := c.reader.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			if !frame.IsAck() {
				_ = c.reader.WritePing(true, frame.Data)
			}
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = c.reader.WriteSettingsAck()
			}
		}
		if !next(frame) {
			return nil
		}
	}
}

// framed returns a message with the prefix that gRPC puts before it.
func framed(flag byte, message string) string { return announced(flag, len(message)) + message }

// announced returns the prefix of a gRPC message of n bytes.
func announced(flag byte, n int) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(n)))
}

// timedOut reports whether err means that the peer did nothing, not even close the connection.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// roundTripText sends a text and returns the answer, up to the end of the connection. If all is
// set, it closes its side of the connection after the text.
func roundTripText(ctx context.Context, addr string, cfg *tls.Config, text string, all bool) (answer string, err error) {
	conn, err := dialRaw(ctx, addr, cfg, "http/1.1")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// Ignore write errors: the server may reject a request before it has read all of it. Do
	// not close this side by default: to a server that has not answered yet, that means that
	// the caller has disconnected.
	if _, err := io.WriteString(conn, text); err == nil && all {
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}
	read, err := io.ReadAll(conn)
	if timedOut(err) {
		return "", err
	}
	return string(read), nil // a reset also ends the answer
}
