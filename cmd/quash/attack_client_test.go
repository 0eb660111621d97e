package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

const (
	dropInPath  = "/token/revoke"
	nativePath  = "/v1/tokens:revoke"
	revokePath  = "/quash.v1.TokenService/Revoke"
	healthPath  = "/grpc.health.v1.Health/"
	unknownPath = "/nobody.knows.it"
)

// path is that of Revoke at the attacked door.
func (a *attacker) path() string {
	if a.door == overGRPC {
		return revokePath
	}
	return dropInPath
}

// request is a whole one for Revoke at the attacked door, with a token that no
// SlashID has issued.
func (a *attacker) request() []byte {
	if a.door == overREST {
		return []byte(`{"token":"a.b.c"}`)
	}
	message, err := proto.Marshal(&quashv1.RevokeRequest{Token: "a.b.c"})
	if err != nil {
		panic(err)
	}
	return append(announce(len(message)), message...)
}

// announce is what comes before a message of n bytes in gRPC.
func announce(n int) []byte { return binary.BigEndian.AppendUint32([]byte{0}, uint32(n)) }

// connect opens a TCP connection to the attacked door, for a limited time.
func (a *attacker) connect() (net.Conn, error) {
	addr := a.rest
	if a.door == overGRPC {
		addr = a.grpc
	}
	limit := patience
	if a.unlimited {
		limit = 5 * time.Second // the server does not end it
	}
	ctx, cancel := context.WithTimeout(a.Context(), limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return conn, conn.SetDeadline(deadline)
}

// connectHTTP2 goes on to TLS where there is any, and begins HTTP/2.
func (a *attacker) connectHTTP2(settings ...http2.Setting) (*rawHTTP2, error) {
	conn, err := a.connect()
	if err != nil {
		return nil, err
	}
	if a.tls != nil {
		cfg := a.tls.Clone()
		cfg.ServerName = "127.0.0.1"
		cfg.NextProtos = []string{"h2"}
		conn = tls.Client(conn, cfg)
	}
	c := &rawHTTP2{Conn: conn, out: bufio.NewWriterSize(conn, 32<<10)}
	c.Framer = http2.NewFramer(c.out, conn)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fields = hpack.NewEncoder(&c.block)
	_, _ = io.WriteString(c.out, http2.ClientPreface)
	_ = c.WriteSettings(settings...)
	if err := c.flush(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// rawHTTP2 is a client that sends whatever frames it likes. One goroutine may write,
// and one may read.
type rawHTTP2 struct {
	net.Conn
	*http2.Framer // writes to out

	mu     sync.Mutex // of out: who reads acknowledges pings
	out    *bufio.Writer
	block  bytes.Buffer
	fields *hpack.Encoder
	last   uint32 // stream
	again  []byte // a block that can be sent many times
}

func (c *rawHTTP2) Close() error { return c.Conn.Close() }

func (c *rawHTTP2) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Flush()
}

// write writes frames, which may wait for a flush.
func (c *rawHTTP2) write(frames func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return frames()
}

// header is the block of a header, which can be sent once.
func (c *rawHTTP2) header(path string, more ...hpack.HeaderField) []byte {
	scheme, contentType := "http", "application/json"
	if _, secure := c.Conn.(*tls.Conn); secure {
		scheme = "https"
	}
	if strings.Contains(path, ".") {
		contentType = "application/grpc"
	}
	c.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: http.MethodPost},
		{Name: ":scheme", Value: scheme},
		{Name: ":path", Value: path},
		{Name: ":authority", Value: "quash"},
		{Name: "content-type", Value: contentType},
		{Name: "te", Value: "trailers"},
	}, more...) {
		_ = c.fields.WriteField(f)
	}
	return bytes.Clone(c.block.Bytes())
}

// begin begins a stream with a header, in as many frames as that takes. It is for
// within write.
func (c *rawHTTP2) begin(block []byte, end bool) (stream uint32, err error) {
	c.last += 2
	stream = c.last - 1
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for len(block) > 0 && err == nil {
		next := block[:min(len(block), most)]
		block = block[len(next):]
		err = c.WriteContinuation(stream, len(block) == 0, next)
	}
	return stream, err
}

// lastPing is acknowledged when everything before it has been read.
var lastPing = [8]byte{'l', 'a', 's', 't'}

// read calls back for each that the server does of what is worth telling: a status,
// a reset, that it goes away for a reason, and at last how the connection ended. It
// ends sooner when it is told to. Pings are acknowledged, as by a client that wants
// to stay.
func (c *rawHTTP2) read(tell func(fate string) (goOn bool)) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			tell(fateOf(err))
			return
		}
		fate := ""
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			fate = statusOf(f)
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeNo { // after an answer
				fate = f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				fate = "GOAWAY " + f.ErrCode.String()
			}
		case *http2.PingFrame:
			switch {
			case !f.IsAck():
				_ = c.write(func() error { return errors.Join(c.WritePing(true, f.Data), c.out.Flush()) })
			case f.Data == lastPing:
				fate = wasTaken
			}
		}
		if fate != "" && !tell(fate) {
			return
		}
	}
}

// listen counts what the server does, but for what is expected, until the attacker
// leaves.
func (a *attacker) listen(c *rawHTTP2, expected string) (leave func()) {
	left, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		c.read(func(fate string) bool {
			if closed(left) {
				return false
			}
			if fate != expected {
				a.fates.add(fate)
			}
			return true
		})
	}()
	return func() {
		close(left)
		_ = c.Close()
		<-heard
		a.fates.add(wasLeftOpen)
	}
}

// statusOf is what the header or the trailer of an answer says, if it says it all.
func statusOf(f *http2.MetaHeadersFrame) string {
	var code int
	for _, field := range f.Fields {
		if field.Name == "grpc-status" {
			_, _ = fmt.Sscan(field.Value, &code)
			return codes.Code(code).String()
		}
	}
	if f.PseudoValue("status") == "200" && !f.StreamEnded() {
		return "" // the trailer has it, or it is of no interest
	}
	return f.PseudoValue("status")
}

// What can become of a connection, and of what was sent on it.
const (
	wasTaken    = "taken"
	notTaken    = "not read any more"
	wasClosed   = "closed"
	wasLeftOpen = "left open"
	notLetIn    = "not let in"
)

func fateOf(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return wasLeftOpen
	}
	return wasClosed
}

// fateOfSending is what became of a client that only sent.
func fateOfSending(err error) string {
	switch {
	case err == nil:
		return wasTaken
	case errors.Is(err, os.ErrDeadlineExceeded):
		return notTaken
	default:
		return wasClosed
	}
}

// fateOfHTTP1 is what answers a request of HTTP/1.1, if anything does before the
// connection ends.
func fateOfHTTP1(conn net.Conn) string {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_ = resp.Body.Close()
		return strconv.Itoa(resp.StatusCode)
	}
	if _, err = io.Copy(io.Discard, conn); err == nil {
		err = io.EOF
	}
	return fateOf(err)
}

// drip sends a byte now and then, until it cannot.
func drip(conn io.Writer) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		if _, err := io.WriteString(conn, "a"); err != nil {
			return
		}
	}
}
