package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// largeSieges are of requests that are too large. They are refused before there is
// much of them; with limits of 16 MiB, the most that the flags take, four bodies of
// 256 MB make the server hold 64 MB, and what reading them leaves behind.
func largeSieges() []*siege {
	lifted := []string{"--max-request-bytes=16777216", "--max-header-bytes=16777216"}
	tooLarge := func(path string, chunked bool) func(*attacker) string {
		return func(a *attacker) string { return a.sendHugeBody(path, chunked) }
	}
	header := func(fields int) func(*attacker) string {
		return func(a *attacker) string { return a.sendHugeHeader(fields) }
	}
	bomb := func(size int) func(*attacker) string {
		return func(a *attacker) string { return a.sendBomb(size) }
	}
	// Whom the connection is closed under while it still sends may not see why.
	const orClosed = "|" + wasClosed
	return []*siege{
		{
			name:   "large",
			bound:  int64(pick(96, 128)),
			lifted: lifted,
			attacks: []attack{
				{name: "256 MB to " + dropInPath, door: overREST, do: tooLarge(dropInPath, false), fates: "400" + orClosed, holds: true},
				{name: "256 MB in chunks to " + dropInPath, door: overREST, do: tooLarge(dropInPath, true), fates: "400" + orClosed, holds: true},
				{name: "256 MB to " + nativePath, door: overREST, do: tooLarge(nativePath, false), fates: "413" + orClosed, holds: true},
				{name: "256 MB in chunks to " + nativePath, door: overREST, do: tooLarge(nativePath, true), fates: "413" + orClosed, holds: true},
				{name: "256 MB to nowhere", door: overREST, do: tooLarge("/", false), fates: "404" + orClosed},
				{name: "256 MB", door: overGRPC, do: (*attacker).sendHugeMessage, fates: "ResourceExhausted"},
				{name: "100,000 bytes in one header", door: overREST, do: header(1), fates: "431" + orClosed},
				{name: "100,000 bytes in 10,000 headers", door: overREST, do: header(10_000), fates: "431" + orClosed, holds: true},
				{name: "100,000 bytes in one header", door: overGRPC, do: header(1), fates: wasClosed},
				{name: "100,000 bytes in 10,000 headers", door: overGRPC, do: header(10_000), fates: wasClosed, holds: true},
				{name: "390 MB of headers in 100,000 bytes of HPACK", door: overGRPC, do: bomb(4000), fates: wasClosed},
				{name: "100,000 headers in 100,000 bytes of HPACK", door: overGRPC, do: bomb(1), fates: wasClosed, holds: true},
			},
		},
		{
			name:   "large, over TLS",
			secure: true,
			bound:  int64(pick(96, 160)),
			lifted: lifted,
			attacks: []attack{
				{name: "256 MB", door: overREST, do: (*attacker).sendHugeBodyOverHTTP2, fates: "413"},
				{name: "100,000 bytes in one header", door: overREST, do: header(1), fates: "GOAWAY COMPRESSION_ERROR|GOAWAY PROTOCOL_ERROR" + orClosed},
				{name: "100,000 bytes in 10,000 headers", door: overREST, do: header(10_000), fates: "GOAWAY PROTOCOL_ERROR" + orClosed},
				{name: "390 MB of headers in 100,000 bytes of HPACK", door: overREST, do: bomb(4000), fates: "GOAWAY PROTOCOL_ERROR" + orClosed},
				{name: "100,000 headers in 100,000 bytes of HPACK", door: overREST, do: bomb(1), fates: "GOAWAY PROTOCOL_ERROR" + orClosed},
			},
		},
	}
}

const huge = 256 << 20

// sendHugeBody sends 256 MB as long as anybody takes them.
func (a *attacker) sendHugeBody(path string, chunked bool) string {
	n := pick(4, 32)
	a.connections(n, func(conn net.Conn) error {
		length, part := fmt.Sprintf("Content-Length: %d", huge), bytes.Repeat([]byte{' '}, 1<<20)
		if chunked {
			length, part = "Transfer-Encoding: chunked", fmt.Appendf(nil, "%x\r\n%s\r\n", len(part), part)
		}
		go func() {
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, length)
			for sent := 0; sent < huge && err == nil; sent += 1 << 20 {
				_, err = conn.Write(part)
			}
		}()
		return nil
	})
	return fmt.Sprintf("%d of them", n)
}

// sendHugeBodyOverHTTP2 does so as HTTP/2 allows.
func (a *attacker) sendHugeBodyOverHTTP2() string {
	n := pick(4, 32)
	each(n, func(int) {
		transport := &http.Transport{TLSClientConfig: a.tls.Clone(), ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(a.Context(), http.MethodPost, "https://"+a.rest+nativePath, io.LimitReader(blank{}, huge))
		if err != nil {
			a.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			a.fates.add(err.Error())
			return
		}
		_ = resp.Body.Close()
		a.fates.add(strconv.Itoa(resp.StatusCode))
	})
	return fmt.Sprintf("%d of them", n)
}

// blank is white space without end.
type blank struct{}

func (blank) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// sendHugeMessage announces 256 MB, and sends them although they were refused.
func (a *attacker) sendHugeMessage() string {
	n := pick(1, 32)
	part := make([]byte, 16<<10)
	a.eachOverHTTP2(n, func(_ int, c *rawHTTP2) {
		_ = c.write(func() error {
			stream, _ := c.begin(c.header(revokePath), false)
			return c.WriteData(stream, false, announce(huge))
		})
		_ = c.flush()
		refused := make(chan struct{})
		go c.read(func(fate string) bool {
			if !closed(refused) {
				a.fates.add(fate)
				close(refused)
			}
			return true
		})
		<-refused
		for range huge / len(part) {
			if c.write(func() error { return c.WriteData(c.last-1, false, part) }) != nil {
				return
			}
		}
	})
	return fmt.Sprintf("%d of them, announced, and sent after the refusal", n)
}

// sendHugeHeader sends 100,000 bytes of a header, and no body.
func (a *attacker) sendHugeHeader(fields int) string {
	n := pick(40, 1000)
	value := strings.Repeat("~", 100_000/fields-9)
	if a.door == overGRPC || a.tls != nil {
		var more []hpack.HeaderField
		for i := range fields {
			more = append(more, hpack.HeaderField{Name: fmt.Sprint("x", i), Value: value, Sensitive: true})
		}
		a.sendHeaders(n, func(c *rawHTTP2) []byte { return c.header(a.path(), more...) })
		return fmt.Sprintf("%d of them", n)
	}
	var header strings.Builder
	fmt.Fprintf(&header, "POST %s HTTP/1.1\r\nHost: quash\r\nContent-Length: 10\r\n", dropInPath)
	for i := range fields {
		fmt.Fprintf(&header, "X%d: %s\r\n", i, value)
	}
	header.WriteString("\r\n")
	a.connections(n, func(conn net.Conn) error {
		go func() { _, _ = io.WriteString(conn, header.String()) }()
		return nil
	})
	return fmt.Sprintf("%d of them", n)
}

// sendBomb sends a header field once, and then refers to it, a byte each time.
func (a *attacker) sendBomb(size int) string {
	n := pick(40, 1000)
	const latest = 0x80 | 62 // of the dynamic table
	a.sendHeaders(n, func(c *rawHTTP2) []byte {
		return append(c.header(a.path(), hpack.HeaderField{Name: "x", Value: strings.Repeat("a", size)}), bytes.Repeat([]byte{latest}, 100_000)...)
	})
	return fmt.Sprintf("%d of them", n)
}

func (a *attacker) sendHeaders(n int, block func(c *rawHTTP2) []byte) {
	a.onHTTP2(n, func(c *rawHTTP2) error {
		go func() {
			_ = c.write(func() error {
				_, err := c.begin(block(c), false)
				return err
			})
			_ = c.flush()
		}()
		return nil
	})
}
