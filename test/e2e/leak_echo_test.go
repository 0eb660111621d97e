package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// echo is an upstream that repeats what it is sent wherever there is room for it: the
// worst that SlashID, or a proxy in front of it, could do by mistake. What it does with a
// call is what the call's scene says, which goes along as the version of an SDK, as
// "scene/number".
type echo struct {
	s   *scan
	url string

	released chan struct{} // closed when held calls are to be answered
	release  func()
	// dropped has an entry for each connection that quash closed after an answer to no
	// request.
	dropped chan struct{}

	attempts counts // by scene and number
	heard    counts // how often each secret came along
}

const (
	sceneHold        = "hold"
	sceneUnsolicited = "unsolicited"
)

func newEcho(s *scan) *echo {
	e := &echo{s: s, released: make(chan struct{}), dropped: make(chan struct{}, len(transports))}
	e.release = sync.OnceFunc(func() { close(e.released) })
	return e
}

// startEcho serves HTTP/1.1 in plaintext.
func startEcho(t *testing.T, s *scan) *echo {
	t.Helper()
	e := newEcho(s)
	server := httptest.NewServer(e)
	e.url = server.URL
	t.Cleanup(func() {
		e.release()
		server.Close()
	})
	return e
}

// startEchoHTTP2 serves HTTP/2, frame by frame.
func startEchoHTTP2(t *testing.T, s *scan, cert tls.Certificate) *echo {
	t.Helper()
	e := newEcho(s)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	e.url = "https://" + l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
				defer stop()
				e.serveHTTP2(conn)
			})
		}
	})
	t.Cleanup(func() {
		e.release()
		_ = l.Close()
		serving.Wait()
	})
	return e
}

// sent is a request as the upstream got it.
type sent struct {
	scene   string
	number  int // of the call
	attempt int
	all     string // every secret in it, fit for a header
	token   string
}

// fill replaces {all} and {token}, and ends lines as HTTP does.
func (s sent) fill(text string) string {
	return strings.NewReplacer("\n", "\r\n", "{all}", s.all, "{token}", s.token).Replace(text)
}

func (e *echo) hear(header http.Header, body []byte) sent {
	var message struct {
		Token string `json:"token"`
	}
	_ = json.Unmarshal(body, &message)
	id := header.Get("Slashid-Sdkversion")
	scene, text, _ := strings.Cut(id, "/")
	number, _ := strconv.Atoi(text)
	key, authorization := header.Get("Slashid-Api-Key"), header.Get("Authorization")
	for _, secret := range []string{message.Token, key, authorization} {
		e.heard.add(secret, 1)
	}
	e.attempts.add(id, 1)
	s := sent{scene, number, e.attempts.of(id), strings.Join([]string{message.Token, key, authorization}, " "), message.Token}
	if s.scene == sceneHold {
		<-e.released
		s.scene = "408"
	}
	return s
}

// await returns when a call has arrived.
func (e *echo) await(t *testing.T, id string) {
	t.Helper()
	eventually(t, "upstream sees "+id, func() bool { return e.attempts.of(id) > 0 })
}

// checkHeard fails unless the secrets came to the upstream: otherwise nothing is proved.
func (e *echo) checkHeard(t *testing.T, secrets ...string) {
	t.Helper()
	for i, secret := range secrets {
		if n := e.heard.of(secret); n < 60 {
			t.Errorf("upstream got secret %d only %d times", i, n)
		}
	}
}

// reply is a well-formed answer.
type reply struct {
	status          int
	header, trailer http.Header
	body            string
}

// answerOf is the well-formed answer of a scene, which repeats what was sent in every
// header that quash reads, and in others that servers and proxies like to set.
func answerOf(s sent) reply {
	ids := []string{s.token, s.all, "for " + s.token, strings.Split(s.token, ".")[0], s.token[len(s.token)/2:], s.all[len(s.token)+1:]}
	r := reply{header: http.Header{
		"Slashid-Correlation-Id": {ids[(s.number+s.attempt)%len(ids)]},
		"Retry-After":            {s.token},
		"Content-Type":           {s.all},
		"Location":               {"http://127.0.0.1:1/?" + s.token},
		"Www-Authenticate":       {`Bearer error="` + s.token + `"`},
		"Set-Cookie":             {"token=" + s.token},
		"Server":                 {s.all},
		"Via":                    {"1.1 " + s.token},
		"Warning":                {"199 - " + s.token},
		"X-" + s.token:           {s.all},
		"Grpc-Status":            {s.token},
		"Grpc-Message":           {s.all},
		"Date":                   {s.token},
	}}
	code, variant, _ := strings.Cut(s.scene, " ")
	if s.scene == "500, then 400" {
		code, variant = "500", "of a proxy"
		if s.attempt > 1 {
			code, variant = "400", ""
		}
	}
	r.status, _ = strconv.Atoi(code)
	if r.status == 0 {
		r.status = http.StatusNoContent
	}
	r.body = fmt.Sprintf(`{"errors":[{"httpcode":%d,"message":%q}]}`, r.status, "no such token: "+s.all) // printable ASCII
	switch variant {
	case "of a proxy":
		r.body = "<!DOCTYPE html><title>" + s.all + "</title>"
	case "with trailers":
		r.trailer = r.header.Clone()
	case "compressed": // it is not
		r.header.Set("Content-Encoding", "gzip")
		r.body = s.all
	}
	switch r.status {
	case http.StatusNoContent:
		r.body = ""
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		r.header.Set("Retry-After", "3600") // so that quash does not try again
	}
	return r
}

// scene is something that an upstream does, and what a caller is answered.
type scene struct{ name, answer string }

const (
	revoked     = "REVOKED"
	rejected    = "TOKEN_REJECTED NOT_APPLIED"
	unexpected  = "UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN"
	unreachable = "UPSTREAM_UNREACHABLE UNKNOWN"
)

// wellFormed are the scenes of answerOf. 401 and 403 depend on whose credentials they
// refuse.
var wellFormed = []scene{
	{"204", revoked},
	{"400", rejected},
	{"400 of a proxy", unexpected},
	{"400 with trailers", rejected},
	{"400 compressed", unexpected},
	{"408", "CONSISTENCY_TIMEOUT IN_PROGRESS"},
	{"408 of a proxy", "CONSISTENCY_TIMEOUT UNKNOWN"},
	{"429", "UPSTREAM_RATE_LIMITED NOT_APPLIED"},
	{"500", "UPSTREAM_UNAVAILABLE UNKNOWN"},
	{"503", "UPSTREAM_UNAVAILABLE UNKNOWN"},
	{"500, then 400", "ALREADY_INVALID"},
	{"200", unexpected},
	{"302", unexpected},
	{"599", unexpected},
}

// malformedHTTP1 are answers that are not HTTP/1.1, with which the connection ends.
var malformedHTTP1 = []struct{ scene, answer, text string }{
	{"a version that is none", unreachable, "HTTP/{all} 200 {all}\n\n"},
	{"no HTTP at all", unreachable, "{all}\n{all}\n\n"},
	{"a header without a colon", unreachable, "HTTP/1.1 400 {all}\n{all}\n\n"},
	{"a status that is no number", unreachable, "HTTP/1.1 {token} {all}\n\n"},
	{"a length that is no number", unreachable, "HTTP/1.1 400 {all}\nContent-Length: {all}\n\n"},
	{"an unknown transfer encoding", unreachable, "HTTP/1.1 400 {all}\nTransfer-Encoding: {all}\n\n"},
	{"an endless header", unreachable, "HTTP/1.1 400 {all}\n" + strings.Repeat("X-Token: {all}\n", 500) + "\n"},
	{"cut off", unreachable, "HTTP/1.1 400 {all}"},
	{"a chunk that is none", unexpected, "HTTP/1.1 400 {all}\nTransfer-Encoding: chunked\n\n{all}\n{all}\n"},
	{"a body cut short", unexpected, "HTTP/1.1 400 {all}\nContent-Length: 100000\n\n{all}"},
	{"another protocol", unexpected, "HTTP/1.1 101 {all}\nUpgrade: {token}\nConnection: upgrade\n\n{all}"},
	{"early hints", revoked, "HTTP/1.1 103 {all}\nLink: {all}\nX-{token}: {all}\n\nHTTP/1.1 204 {all}\nX-Token: {all}\n\n"},
	{sceneUnsolicited, revoked, "HTTP/1.1 204 {all}\n\nHTTP/1.1 400 {all}\nContent-Length: 0\nX-Token: {all}\n\n"},
}

// ServeHTTP answers over HTTP/1.1.
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := e.hear(r.Header, body)
	for _, m := range malformedHTTP1 {
		if m.scene != s.scene {
			continue
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, s.fill(m.text))
		if s.scene == sceneUnsolicited {
			_, _ = io.Copy(io.Discard, conn)
			e.dropped <- struct{}{}
		}
		return
	}
	answer := answerOf(s)
	maps.Copy(w.Header(), answer.header)
	for name, values := range answer.trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// echoHTTP2 is the upstream's end of an HTTP/2 connection.
type echoHTTP2 struct {
	net.Conn

	mu      sync.Mutex
	framer  *http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (e *echo) serveHTTP2(conn net.Conn) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	c := &echoHTTP2{Conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.locked(func() { _ = c.framer.WriteSettings() })
	headers, bodies := map[uint32]http.Header{}, map[uint32][]byte{}
	var answering sync.WaitGroup
	defer answering.Wait()
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
			headers[frame.StreamID] = http.Header{}
			for _, field := range frame.Fields {
				headers[frame.StreamID].Add(field.Name, field.Value)
			}
		case *http2.DataFrame:
			stream := frame.StreamID
			bodies[stream] = append(bodies[stream], frame.Data()...)
			if n := len(frame.Data()); n > 0 {
				c.locked(func() { _ = c.framer.WriteWindowUpdate(0, uint32(n)) })
			}
			if frame.StreamEnded() {
				header, body := headers[stream], bodies[stream]
				answering.Go(func() {
					s := e.hear(header, body)
					c.locked(func() { c.answer(stream, s) })
				})
			}
		}
	}
}

func (c *echoHTTP2) locked(write func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write()
}

// answer does what a scene says. The caller holds c.mu.
func (c *echoHTTP2) answer(stream uint32, s sent) {
	for _, m := range slices.Concat(malformedStreams, malformedConnections) {
		if m.name == s.scene {
			m.write(c, stream, s)
			if m.answer != revoked {
				return
			}
		}
	}
	r := answerOf(s)
	c.fields(stream, r.body == "", slices.Concat([]string{":status", strconv.Itoa(r.status)}, flat(r.header))...)
	if r.body != "" {
		_ = c.framer.WriteData(stream, r.trailer == nil, []byte(r.body))
	}
	if r.trailer != nil {
		c.fields(stream, true, flat(r.trailer)...)
	}
}

// flat lists names, as HTTP/2 wants them, and values.
func flat(header http.Header) (fields []string) {
	for name, values := range header {
		fields = append(fields, strings.ToLower(name), values[0])
	}
	return fields
}

// fields writes a HEADERS frame.
func (c *echoHTTP2) fields(stream uint32, end bool, fields ...string) {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: end})
}

// frame writes a frame of any type.
func (c *echoHTTP2) frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) {
	_ = c.framer.WriteRawFrame(kind, flags, stream, []byte(payload))
}

func (c *echoHTTP2) goAway(stream uint32, s sent) {
	code := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, stream), uint32(http2.ErrCodeInternal))
	c.frame(http2.FrameGoAway, 0, 0, string(code)+s.all)
	_ = c.Close()
}

// malformedHTTP2 is an answer that is not HTTP/2; after it comes the usual one if the
// caller is to be answered REVOKED.
type malformedHTTP2 struct {
	scene

	write func(c *echoHTTP2, stream uint32, s sent)
}

// malformedStreams leave other calls on the connection alone.
var malformedStreams = []malformedHTTP2{
	{scene{"reset stream", unreachable}, func(c *echoHTTP2, stream uint32, _ sent) {
		_ = c.framer.WriteRSTStream(stream, http2.ErrCodeInternal)
	}},
	{scene{"no status", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, true, "x-"+strings.ToLower(s.token), s.all)
	}},
	{scene{"a status that is no number", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, true, ":status", s.token)
	}},
	{scene{"a field in upper case", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, true, ":status", "400", "X-"+s.token, s.all)
	}},
	{scene{"an unknown pseudo field", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, true, ":status", "400", ":"+s.token, s.all)
	}},
	{scene{"early hints", revoked}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, false, ":status", "103", "link", s.all)
	}},
	{scene{"frames of unknown types", revoked}, func(c *echoHTTP2, stream uint32, s sent) {
		const altSvc, unknown = 0xa, 0xfa
		c.frame(altSvc, 0, 0, "\x00\x00"+s.all)
		c.frame(unknown, 0, stream, s.all)
		c.frame(unknown, 0, 0, s.all)
	}},
}

// malformedConnections end the connection, with all calls on it.
var malformedConnections = []malformedHTTP2{
	{scene{"go away", unreachable}, (*echoHTTP2).goAway},
	{scene{"a push", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.frame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, stream, "\x00\x00\x00\x02"+s.all)
		c.goAway(stream, s)
	}},
	{scene{"garbage for fields", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, "\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff"+s.all)
	}},
	{scene{"no frame at all", unreachable}, func(c *echoHTTP2, _ uint32, s sent) {
		_, _ = c.Write([]byte(s.fill("HTTP/1.1 400 {all}\n\n{all}")))
	}},
	{scene{"an endless header", unreachable}, func(c *echoHTTP2, stream uint32, s sent) {
		c.fields(stream, true, ":status", "400", "x-token", strings.Repeat(s.all, 1+(80<<10)/len(s.all)))
	}},
}
