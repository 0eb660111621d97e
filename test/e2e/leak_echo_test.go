package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// echo is an echo server as upstream. It repeats the secrets it receives in every part of its
// answers, which is the worst that SlashID, or a proxy in front of it, could do by mistake. The
// scene of a call decides the answer. The call carries "scene/number" in the header
// SlashID-SdkVersion.
type echo struct {
	url string

	released chan struct{} // closed when held calls get their answers
	release  func()
	// dropped has an entry for each connection that quash closed after an unsolicited answer.
	dropped chan struct{}

	attempts counts // by scene and number
	received counts // by secret
}

const (
	sceneHold        = "hold"
	sceneUnsolicited = "unsolicited"
)

func newEcho() *echo {
	e := &echo{released: make(chan struct{}), dropped: make(chan struct{}, len(transports))}
	e.release = sync.OnceFunc(func() { close(e.released) })
	return e
}

// startEcho serves HTTP/1.1 in plaintext.
func startEcho(t *testing.T) *echo {
	t.Helper()
	e := newEcho()
	server := httptest.NewServer(e)
	e.url = server.URL
	t.Cleanup(func() {
		e.release()
		server.Close()
	})
	return e
}

// startEchoHTTP2 serves HTTP/2 with hand-written frames.
func startEchoHTTP2(t *testing.T, cert tls.Certificate) *echo {
	t.Helper()
	e := newEcho()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	e.url = "https://" + l.Addr().String()
	t.Cleanup(acceptAll(l, e.serveHTTP2))
	t.Cleanup(e.release)
	return e
}

// acceptAll serves the connections of a listener until stop is called. stop waits for them.
func acceptAll(l net.Listener, serve func(net.Conn)) (stop func()) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	return func() {
		_ = l.Close()
		serving.Wait()
	}
}

// sent is a request as the upstream received it.
type sent struct {
	scene   string
	number  int // of the call
	attempt int
	all     string // every secret in it, in a form that a header can hold
	token   string
}

// fill replaces {all} and {token}, and line ends by CRLF.
func (s sent) fill(text string) string {
	return strings.NewReplacer("\n", "\r\n", "{all}", s.all, "{token}", s.token).Replace(text)
}

func (e *echo) receive(header http.Header, body []byte) sent {
	var message struct {
		Token string `json:"token"`
	}
	_ = json.Unmarshal(body, &message)
	id := header.Get("Slashid-Sdkversion")
	scene, text, _ := strings.Cut(id, "/")
	number, _ := strconv.Atoi(text)
	key, authorization := header.Get("Slashid-Api-Key"), header.Get("Authorization")
	for _, secret := range []string{message.Token, key, authorization} {
		e.received.add(secret, 1)
	}
	e.attempts.add(id, 1)
	s := sent{scene, number, e.attempts.of(id), strings.Join([]string{message.Token, key, authorization}, " "), message.Token}
	if s.scene == sceneHold {
		<-e.released
		s.scene = "408"
	}
	return s
}

// await waits until a call has arrived.
func (e *echo) await(t *testing.T, id string) {
	t.Helper()
	eventually(t, "upstream sees "+id, func() bool { return e.attempts.of(id) > 0 })
}

// checkReceived fails unless the upstream received each secret often. Otherwise the scan proves
// nothing.
func (e *echo) checkReceived(t *testing.T, secrets ...string) {
	t.Helper()
	for i, secret := range secrets {
		if n := e.received.of(secret); n < 60 {
			t.Errorf("upstream received secret %d only %d times", i, n)
		}
	}
}

// reply is a well-formed answer.
type reply struct {
	status          int
	header, trailer http.Header
	body            string
}

// answerOf returns the well-formed answer of a scene. It repeats the secrets in every header
// that quash reads, and in others that servers and proxies often set.
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
	case "compressed": // the header says so, but the body is not compressed
		r.header.Set("Content-Encoding", "gzip")
		r.body = s.all
	}
	switch r.status {
	case http.StatusNoContent:
		r.body = ""
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		r.header.Set("Retry-After", "3600") // so that quash does not retry
	}
	return r
}

// scene is a behaviour of the upstream, and the answer that a caller must get.
type scene struct{ name, answer string }

const (
	revoked     = "REVOKED"
	rejected    = "TOKEN_REJECTED NOT_APPLIED"
	unexpected  = "UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN"
	unreachable = "UPSTREAM_UNREACHABLE UNKNOWN"
)

// wellFormed are the scenes of answerOf, without 401 and 403: their answers depend on whose
// credentials were sent.
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

// malformedHTTP1 are answers that are not valid HTTP/1.1. The connection ends after them.
var malformedHTTP1 = []struct {
	scene
	text string
}{
	{scene{"an invalid version", unreachable}, "HTTP/{all} 200 {all}\n\n"},
	{scene{"not HTTP", unreachable}, "{all}\n{all}\n\n"},
	{scene{"a length that is not a number", unreachable}, "HTTP/1.1 400 {all}\nContent-Length: {all}\n\n"},
	{scene{"an endless header", unreachable}, "HTTP/1.1 400 {all}\n" + strings.Repeat("X-Token: {all}\n", 500) + "\n"},
	{scene{"an invalid chunk", unexpected}, "HTTP/1.1 400 {all}\nTransfer-Encoding: chunked\n\n{all}\n{all}\n"},
	{scene{"a body cut short", unexpected}, "HTTP/1.1 400 {all}\nContent-Length: 100000\n\n{all}"},
	{scene{"another protocol", unexpected}, "HTTP/1.1 101 {all}\nUpgrade: {token}\nConnection: upgrade\n\n{all}"},
	{scene{"early hints", revoked}, "HTTP/1.1 103 {all}\nLink: {all}\nX-{token}: {all}\n\nHTTP/1.1 204 {all}\nX-Token: {all}\n\n"},
	{scene{sceneUnsolicited, revoked}, "HTTP/1.1 204 {all}\n\nHTTP/1.1 400 {all}\nContent-Length: 0\nX-Token: {all}\n\n"},
}

// ServeHTTP answers over HTTP/1.1.
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := e.receive(r.Header, body)
	for _, m := range malformedHTTP1 {
		if m.name != s.scene {
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

func (e *echo) serveHTTP2(conn net.Conn) {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	c := newRawHTTP2(conn)
	_ = c.reader.WriteSettings()
	headers, bodies := map[uint32]http.Header{}, map[uint32][]byte{}
	var writing sync.Mutex
	var answering sync.WaitGroup
	_ = c.read(func(frame http2.Frame) bool {
		stream := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			headers[stream] = http.Header{}
			for _, field := range frame.Fields {
				headers[stream].Add(field.Name, field.Value)
			}
		case *http2.DataFrame:
			bodies[stream] = append(bodies[stream], frame.Data()...)
			if n := len(frame.Data()); n > 0 {
				_ = c.reader.WriteWindowUpdate(0, uint32(n))
			}
			if frame.StreamEnded() {
				header, body := headers[stream], bodies[stream]
				answering.Go(func() {
					s := e.receive(header, body)
					writing.Lock()
					defer writing.Unlock()
					c.answer(stream, s)
				})
			}
		}
		return true
	})
	answering.Wait()
}

// answer sends the answer of a scene.
func (c *rawHTTP2) answer(stream uint32, s sent) {
	for _, m := range malformedHTTP2 {
		if m.name == s.scene {
			m.write(c, stream, s)
			if m.answer != revoked {
				_ = c.flush()
				return
			}
		}
	}
	r := answerOf(s)
	c.headers(stream, c.fields(append([]string{":status", strconv.Itoa(r.status)}, flat(r.header)...)...), r.body == "")
	if r.body != "" {
		_ = c.WriteData(stream, r.trailer == nil, []byte(r.body))
	}
	if r.trailer != nil {
		c.headers(stream, c.fields(flat(r.trailer)...), true)
	}
	_ = c.flush()
}

// flat returns pairs of a name, in lower case as HTTP/2 requires, and a value.
func flat(header http.Header) (pairs []string) {
	for name, values := range header {
		pairs = append(pairs, strings.ToLower(name), values[0])
	}
	return pairs
}

// malformedHTTP2 are answers that are not valid HTTP/2. If the expected answer is REVOKED, the
// well-formed answer follows.
var malformedHTTP2 = []struct {
	scene
	ends  bool // it ends the connection and all calls on it
	write func(c *rawHTTP2, stream uint32, s sent)
}{
	{scene{"reset stream", unreachable}, false, func(c *rawHTTP2, stream uint32, _ sent) {
		_ = c.WriteRSTStream(stream, http2.ErrCodeInternal)
	}},
	{scene{"no status", unreachable}, false, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, c.fields("x-"+strings.ToLower(s.token), s.all), true)
	}},
	{scene{"a status that is not a number", unreachable}, false, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, c.fields(":status", s.token), true)
	}},
	{scene{"a field in upper case", unreachable}, false, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, c.fields(":status", "400", "X-"+s.token, s.all), true)
	}},
	{scene{"early hints", revoked}, false, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, c.fields(":status", "103", "link", s.all), false)
	}},
	{scene{"frames of unknown types", revoked}, false, func(c *rawHTTP2, stream uint32, s sent) {
		const altSvc, unknown = 0xa, 0xfa
		_ = c.WriteRawFrame(altSvc, 0, 0, []byte("\x00\x00"+s.all))
		_ = c.WriteRawFrame(unknown, 0, stream, []byte(s.all))
	}},
	{scene{"go away", unreachable}, true, func(c *rawHTTP2, stream uint32, s sent) {
		_ = c.WriteGoAway(stream, http2.ErrCodeInternal, []byte(s.all))
		_ = c.flush()
		_ = c.Close()
	}},
	{scene{"garbage for fields", unreachable}, true, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, []byte("\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff"+s.all), false)
	}},
	{scene{"not a frame", unreachable}, true, func(c *rawHTTP2, _ uint32, s sent) {
		c.out.WriteString(s.fill("HTTP/1.1 400 {all}\n\n{all}"))
	}},
	{scene{"an endless header", unreachable}, true, func(c *rawHTTP2, stream uint32, s sent) {
		c.headers(stream, c.fields(":status", "400", "x-token", strings.Repeat(s.all, 1+(80<<10)/len(s.all))), true)
	}},
}
