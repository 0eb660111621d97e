package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// What stands on both sides of a façade whose allocations are counted runs in the same
// process, so it speaks HTTP by hand, and allocates nothing a call.

// bareToken has the size that SlashID's tokens have.
var bareToken = strings.Repeat("h", 40) + "." + strings.Repeat("c", 900) + "." + strings.Repeat("s", 80)

const (
	bareCorrelationID = "6f1c7f0e-6a1b-4a53-9d6c-0c3d1f6a2b4e"
	bareAnswer        = "HTTP/1.1 204 No Content\r\nSlashID-Correlation-ID: " + bareCorrelationID + "\r\n\r\n"
)

var errBare = errors.New("not the answer that was expected")

// dialBare connects for as long as the test lasts.
func dialBare(tb testing.TB, addr net.Addr) (net.Conn, *bufio.Reader) {
	tb.Helper()
	conn, err := new(net.Dialer).DialContext(tb.Context(), addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

// serveBare serves a SlashID that revokes every token at once, and returns its URL.
func serveBare(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerBare(conn)
		}
	}()
	return "http://" + l.Addr().String()
}

func answerBare(conn net.Conn) {
	defer conn.Close()
	requests, answer := bufio.NewReader(conn), []byte(bareAnswer)
	for skipMessage(requests, "POST /token/revoke ") == nil {
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// skipMessage reads a message of HTTP/1.1 whose first line must begin in the given way.
func skipMessage(r *bufio.Reader, first string) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte(first)) {
		return errBare
	}
	length := 0
	for len(line) > len("\r\n") {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}

// bareREST calls one of the REST routes over one connection.
type bareREST struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	status  string
}

func newBareREST(tb testing.TB, f *facade, path, status string) *bareREST {
	tb.Helper()
	conn, answers := dialBare(tb, f.addrs.HTTP)
	body := `{"token":"` + bareToken + `"}`
	return &bareREST{conn, answers, []byte("POST " + path + " HTTP/1.1\r\nHost: quash\r\nUser-Agent: bare\r\nAccept: application/json\r\n" +
		"Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body), "HTTP/1.1 " + status}
}

func (c *bareREST) call() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	return skipMessage(c.answers, c.status)
}

// bareGRPC calls Revoke over one connection.
type bareGRPC struct {
	conn   net.Conn
	frames *bufio.Reader
	// request is a frame of headers and, from message on, one of data.
	request []byte
	message int
	stream  uint32
	// answer is the data of the only answer that is right.
	answer []byte
}

// What is used of HTTP/2's frames: a length of three bytes, a type, flags, and four
// bytes with the stream.
const (
	frameHeader = 9
	frameType   = 3
	frameFlags  = 4
	frameStream = 5
)

func newBareGRPC(tb testing.TB, f *facade) *bareGRPC {
	tb.Helper()
	conn, frames := dialBare(tb, f.addrs.GRPC)
	var greeting bytes.Buffer
	greeting.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&greeting, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteWindowUpdate(0, 1<<30) // more than all answers take together
	if _, err := conn.Write(greeting.Bytes()); err != nil {
		tb.Fatal(err)
	}
	c := &bareGRPC{conn: conn, frames: frames, stream: 1}
	c.answer = inGRPC(tb, &quashv1.RevokeResponse{
		Outcome:       quashv1.Outcome_OUTCOME_REVOKED,
		Consistency:   quashv1.Consistency_CONSISTENCY_LOCAL_REGION,
		CorrelationId: bareCorrelationID,
	})
	var headers, request bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", quashv1.TokenService_Revoke_FullMethodName},
		{":authority", "quash"},
		{"content-type", "application/grpc"},
		{"user-agent", "bare"},
		{"te", "trailers"},
		{"grpc-timeout", "20S"},
	} {
		// What is sensitive enters no table, so that all requests are the same.
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true})
	}
	framer = http2.NewFramer(&request, nil)
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: headers.Bytes(), EndHeaders: true})
	c.message = request.Len()
	_ = framer.WriteData(c.stream, true, inGRPC(tb, &quashv1.RevokeRequest{Token: bareToken}))
	c.request = request.Bytes()
	return c
}

// inGRPC is a message as it is sent: not compressed, and after its length.
func inGRPC(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	encoded, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(encoded))), encoded...)
}

func (c *bareGRPC) call() error {
	binary.BigEndian.PutUint32(c.request[frameStream:], c.stream)
	binary.BigEndian.PutUint32(c.request[c.message+frameStream:], c.stream)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	answered := false
	for {
		header, err := c.frames.Peek(frameHeader)
		if err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint32(header)>>8) + frameHeader
		frame, err := c.frames.Peek(length)
		if err != nil {
			return err
		}
		ours, kind := binary.BigEndian.Uint32(frame[frameStream:]) == c.stream, http2.FrameType(frame[frameType])
		answered = answered || ours && kind == http2.FrameData && bytes.Equal(frame[frameHeader:], c.answer)
		ended := ours && (kind == http2.FrameRSTStream ||
			kind == http2.FrameHeaders && http2.Flags(frame[frameFlags]).Has(http2.FlagHeadersEndStream))
		if _, err := c.frames.Discard(length); err != nil {
			return err
		}
		if ended && !answered {
			return errBare
		}
		if ended {
			c.stream += 2
			return nil
		}
	}
}
