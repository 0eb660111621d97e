package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// parrot is an upstream that repeats what it is sent wherever there is room for it:
// the worst that SlashID, or a proxy in front of it, could do by mistake. What it
// does with a call is what the call's id says.
type parrot struct {
	h   *hunt
	url string
	// released is closed when held calls are to be answered.
	released chan struct{}
	release  func()
	// unasked has an entry for each answer that nobody has asked for, unaskedOver one
	// for each connection of them that quash has given up.
	unasked, unaskedOver chan struct{}

	mu       sync.Mutex
	conns    []net.Conn
	closed   bool
	serving  sync.WaitGroup
	attempts map[string]int           // by the id of the call
	arrived  map[string]chan struct{} // closed when the first one is there
	heard    map[string]int           // how often each secret came along
}

// startParrot serves HTTP/1.1 in plaintext or, with a certificate, HTTP/2.
func startParrot(t *testing.T, h *hunt, cert *tls.Certificate) *parrot {
	p := &parrot{
		h: h, released: make(chan struct{}),
		unasked: make(chan struct{}, len(doors)), unaskedOver: make(chan struct{}, len(doors)),
		attempts: map[string]int{}, arrived: map[string]chan struct{}{}, heard: map[string]int{},
	}
	p.release = sync.OnceFunc(func() { close(p.released) })
	serve := p.serveHTTP1
	l := listenOn(t, "127.0.0.1:0")
	p.url = "http://" + l.Addr().String()
	if cert != nil {
		serve = p.serveHTTP2
		p.url = "https://" + l.Addr().String()
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2"}})
	}
	p.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			if p.closed {
				_ = conn.Close()
			}
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			p.serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		p.release()
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.serving.Wait()
	})
	return p
}

// sent is a request as the parrot got it.
type sent struct {
	scene   string
	number  int // of the call
	attempt int
	all     string // every secret of it, fit for a header
	token   string
}

// hear takes a request in.
func (p *parrot) hear(header http.Header, body []byte) sent {
	var message struct {
		Token string `json:"token"`
	}
	_ = json.Unmarshal(body, &message)
	id := header.Get("Slashid-Sdkversion")
	scene, text, _ := strings.Cut(id, "/")
	number, _ := strconv.Atoi(text)
	key, authorization := header.Get("Slashid-Api-Key"), header.Get("Authorization")
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, secret := range map[string]string{
		"token": p.h.token, "quash's API key": p.h.apiKey, "the caller's API key": p.h.callerKey, "the caller's authorization": p.h.authorization,
	} {
		if message.Token == secret || key == secret || authorization == secret {
			p.heard[name]++
		}
	}
	p.attempts[id]++
	if p.attempts[id] == 1 {
		close(p.arrivalOf(id))
	}
	return sent{scene, number, p.attempts[id], strings.Join([]string{message.Token, key, authorization}, " "), message.Token}
}

// arrivalOf is a channel that is closed once a call has arrived. The caller holds
// p.mu.
func (p *parrot) arrivalOf(id string) chan struct{} {
	if p.arrived[id] == nil {
		p.arrived[id] = make(chan struct{})
	}
	return p.arrived[id]
}

// await returns once a call has arrived.
func (p *parrot) await(t *testing.T, id string) {
	p.mu.Lock()
	arrived := p.arrivalOf(id)
	p.mu.Unlock()
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Errorf("upstream has never seen %s", id)
	}
}

// reply is a whole answer.
type reply struct {
	status  int
	header  [][2]string
	body    string
	trailer [][2]string
}

// repeating is a reply that repeats what was sent in every header that quash reads,
// and in others that servers and proxies like.
func repeating(s sent, status int, body string, header ...[2]string) reply {
	tellings := []string{s.token, s.all, "for " + s.token, strings.Split(s.token, ".")[0], s.token[len(s.token)/2:], s.all[len(s.token)+1:]}
	r := reply{status: status, body: body, header: header}
	for _, h := range [][2]string{
		{"slashid-correlation-id", tellings[(s.number+s.attempt)%len(tellings)]},
		{"retry-after", s.token},
		{"content-type", s.all},
		{"location", "http://127.0.0.1:1/?" + s.token},
		{"www-authenticate", `Bearer error="` + s.token + `"`},
		{"set-cookie", "token=" + s.token},
		{"server", s.all},
		{"via", "1.1 " + s.token},
		{"warning", "199 - " + s.token},
		{"x-" + s.token, s.all},
		{"etag", s.token},
		{"grpc-status", s.token},
		{"grpc-message", s.all},
		{"content-language", s.all},
		{"date", s.token},
	} {
		if len(header) == 0 || header[0][0] != h[0] {
			r.header = append(r.header, h)
		}
	}
	return r
}

// envelopeOf is SlashID's error, which quotes what was sent.
func envelopeOf(s sent, status int) string {
	message, err := json.Marshal("no such token: " + s.all)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":%d,"message":%s}]}`, status, message)
}

func pageOf(s sent) string { return "<!DOCTYPE html><title>" + s.all + "</title>" }

// http1 is a connection of HTTP/1.1, with its end at the parrot.
type http1 struct{ net.Conn }

func (p *parrot) serveHTTP1(conn net.Conn) {
	reader := bufio.NewReader(conn)
	unasked := false
	for {
		req, err := http.ReadRequest(reader)
		if err != nil {
			if unasked {
				p.unaskedOver <- struct{}{}
			}
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		s := p.hear(req.Header, body)
		if s.scene == sceneHold {
			<-p.released
			s.scene = []string{"408", "an HTTP version of its own"}[s.number%2]
		}
		unasked = unasked || s.scene == sceneUnasked
		if fault := faultsHTTP1[s.scene]; fault != nil {
			if !fault(http1{conn}, s) {
				return
			}
			if s.scene == sceneUnasked {
				p.unasked <- struct{}{}
			}
			continue
		}
		http1{conn}.answer(replyTo(s), s.all)
	}
}

func (c http1) answer(r reply, reason string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.status, reason)
	for _, field := range r.header {
		fmt.Fprintf(&b, "%s: %s\r\n", field[0], field[1])
	}
	switch {
	case r.status == http.StatusNoContent:
		b.WriteString("\r\n")
	case r.trailer != nil:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\nTrailer: %s\r\n\r\n%x\r\n%s\r\n0\r\n", r.trailer[0][0], len(r.body), r.body)
		for _, field := range r.trailer {
			fmt.Fprintf(&b, "%s: %s\r\n", field[0], field[1])
		}
		b.WriteString("\r\n")
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	}
	_, _ = c.Write(b.Bytes())
}

// write writes text, in which "\n" stands for HTTP's line end.
func (c http1) write(text string) { _, _ = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")) }

// http2Conn is a connection of HTTP/2, with its end at the parrot, frame by frame.
type http2Conn struct {
	net.Conn

	mu      sync.Mutex
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (p *parrot) serveHTTP2(conn net.Conn) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	c := &http2Conn{Conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.locked(func() { _ = c.framer.WriteSettings() })
	headers, bodies := map[uint32]http.Header{}, map[uint32][]byte{}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.locked(func() { _ = c.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.locked(func() { _ = c.framer.WritePing(true, frame.Data) })
			}
		case *http2.MetaHeadersFrame:
			header := http.Header{}
			for _, field := range frame.Fields {
				header.Add(field.Name, field.Value)
			}
			headers[frame.StreamID] = header
		case *http2.DataFrame:
			stream := frame.StreamID
			bodies[stream] = append(bodies[stream], frame.Data()...)
			if n := len(frame.Data()); n > 0 {
				c.locked(func() { _ = c.framer.WriteWindowUpdate(0, uint32(n)) })
			}
			if frame.StreamEnded() {
				s := p.hear(headers[stream], bodies[stream])
				p.serving.Go(func() { p.answerHTTP2(c, stream, s) })
			}
		}
	}
}

func (p *parrot) answerHTTP2(c *http2Conn, stream uint32, s sent) {
	if s.scene == sceneHold {
		<-p.released
		s.scene = "500"
	}
	c.locked(func() {
		if fault := faultsHTTP2[s.scene]; fault != nil {
			fault(c, stream, s)
			return
		}
		c.answer(stream, replyTo(s))
	})
}

func (c *http2Conn) locked(write func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write()
}

// fields writes a HEADERS frame. Here and below the caller holds c.mu.
func (c *http2Conn) fields(stream uint32, end bool, fields ...[2]string) {
	c.block.Reset()
	for _, field := range fields {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

func (c *http2Conn) answer(stream uint32, r reply) {
	c.fields(stream, r.body == "", append([][2]string{{":status", strconv.Itoa(r.status)}}, lower(r.header)...)...)
	if r.body == "" {
		return
	}
	_ = c.framer.WriteData(stream, r.trailer == nil, []byte(r.body))
	if r.trailer != nil {
		c.fields(stream, true, lower(r.trailer)...)
	}
}

// lower has the names as HTTP/2 wants them.
func lower(fields [][2]string) [][2]string {
	var all [][2]string
	for _, field := range fields {
		all = append(all, [2]string{strings.ToLower(field[0]), field[1]})
	}
	return all
}

// frame writes a frame of any type.
func (c *http2Conn) frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) {
	_ = c.framer.WriteRawFrame(kind, flags, stream, []byte(payload))
}

func (c *http2Conn) goAway(last uint32, debug string) {
	payload := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), uint32(http2.ErrCodeInternal))
	c.frame(http2.FrameGoAway, 0, 0, string(payload)+debug)
	_ = c.Close()
}
