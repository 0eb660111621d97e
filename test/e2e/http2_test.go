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

// rawHTTP2 is an end of an HTTP/2 connection that sends any frame. Frames are sent on
// flush. One goroutine may write, and another read.
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

// flush sends all frames at once, so that the reader's acknowledgements do not fall in
// between.
func (c *rawHTTP2) flush() error {
	_, err := c.Write(c.out.Bytes())
	c.out.Reset()
	return err
}

// fields encodes pairs of a name and a value. The result can be sent once, because of
// HPACK's state.
func (c *rawHTTP2) fields(pairs ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		// Large values stay out of the dynamic table, so that each costs its full size.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: len(pairs[i+1]) > 100})
	}
	return bytes.Clone(c.block.Bytes())
}

// header encodes the header of a request for Revoke. more replaces or adds fields.
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

// begin begins a stream with a header.
func (c *rawHTTP2) begin(block []byte, end bool) (stream uint32) {
	c.streams++
	stream = 2*c.streams - 1
	c.headers(stream, block, end)
	return stream
}

// headers sends a header, in as many frames as that takes.
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

// data sends the body of a stream, in as many frames as that takes.
func (c *rawHTTP2) data(stream uint32, body []byte, end bool) {
	for ; len(body) > maxFrame; body = body[maxFrame:] {
		_ = c.WriteData(stream, false, body[:maxFrame])
	}
	_ = c.WriteData(stream, end, body)
}

// read passes frames on until the function returns false or the connection ends, and
// returns why it ended. It acknowledges settings and pings, like a peer that wants to stay.
func (c *rawHTTP2) read(next func(http2.Frame) (goOn bool)) error {
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

// exchangeText sends a text, says on request that it is all, and returns what comes back
// until the other side closes the connection.
func exchangeText(ctx context.Context, addr string, cfg *tls.Config, text string, all bool) (answer string, err error) {
	conn, err := dialRaw(ctx, addr, cfg, "http/1.1")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// What is refused early may not be read whole. An end of the request means that the
	// caller has left, to a server that has not answered yet.
	if _, err := io.WriteString(conn, text); err == nil && all {
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}
	read, err := io.ReadAll(conn)
	if timedOut(err) {
		return "", err
	}
	return string(read), nil // a reset is an end too
}
