package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// restMistake is a REST request with the token where it does not belong. What is left
// empty is as it should be. {token} and its like stand for the canary.
type restMistake struct {
	name                                 string
	method, path, query, version, header string
	body                                 string
	// raw is the whole request, with {path} for the door's.
	raw string
	// cut is how many bytes at its end are not sent.
	cut int
}

// partial is whether there is more to come that never does. Only then may the
// caller say that it was all: from one who waits for an answer it means to have
// gone.
func (m restMistake) partial() bool { return m.cut > 0 || strings.HasPrefix(m.name, "half") }

var restMistakes = []restMistake{
	{name: "none at all"},
	{name: "with its scheme", body: `{"token":"Bearer {token}"}`},
	{name: "in quotes", body: `{"token":"\"{token}\""}`},
	{name: "with a line end", body: `{"token":"{token}\n"}`},
	{name: "with a NUL", body: `{"token":"{token}\u0000"}`},
	{name: "not UTF-8", body: "{\"token\":\"{token}\xff\"}"},
	{name: "a lone surrogate", body: `{"token":"{token}\ud800"}`},
	{name: "an object", body: `{"token":{"{token}":"{token}"}}`},
	{name: "an array", body: `{"token":["{token}"]}`},
	{name: "a number", body: `{"token":1,"x":"{token}"}`},
	{name: "unquoted", body: `{"token":{token}}`},
	{name: "in single quotes", body: `{'token':'{token}'}`},
	{name: "twice", body: `{"token":"{token}","token":"{token}"}`},
	{name: "after the body", body: `{"token":"{token}"}{token}`},
	{name: "the name of a member", body: `{"{token}":"{token}"}`},
	{name: "an unknown member", body: `{"token":"{token}","access_token":"{token}","refresh":{"deep":["{token}"]}}`},
	{name: "the consistency", body: `{"token":"{token}","consistency":"{token}"}`},
	{name: "the timeout", body: `{"token":"{token}","timeout":"{token}"}`},
	{name: "the timeout, with a unit", body: `{"token":"{token}","timeout":"{token}s"}`},
	{name: "allow_invalid", body: `{"token":"{token}","allow_invalid":"{token}"}`},
	{name: "all members", body: `{"token":"{token}!","consistency":"{token}","timeout":"{token}","allow_invalid":"{token}","{token}":"{token}"}`},
	{name: "the whole body", body: `{token}`},
	{name: "a JSON string", body: `"{token}"`},
	{name: "a JSON array", body: `["{token}"]`},
	{name: "broken JSON", body: `{"token":"{token}"`},
	{name: "a form", header: "Content-Type: application/x-www-form-urlencoded\n", body: `token={token}`},
	{name: "XML", header: "Content-Type: text/xml\n", body: `<token>{token}</token>`},
	{name: "a compressed body", header: "Content-Encoding: gzip\n", body: "\x1f\x8b\x08{token}"},
	{name: "too long", body: `{"token":"` + strings.Repeat("{token}", 60) + `"}`},
	{name: "too large a body", body: strings.Repeat("{token}", 300)},

	{name: "SlashID-API-Key", header: "SlashID-API-Key: {token}\n"},
	{name: "SlashID-API-Key, two", header: "SlashID-API-Key: {caller key}\nSlashID-API-Key: {token}\n"},
	{name: "SlashID-API-Key, beyond ASCII", header: "SlashID-API-Key: {caller key}\xfc\n"},
	{name: "Authorization", header: "Authorization: {token}\n"},
	{name: "Authorization, with its scheme", header: "Authorization: Bearer {token}\n"},
	{name: "Authorization, two", header: "Authorization: {authorization}\nAuthorization: Bearer {token}\n"},
	{name: "Authorization, beyond ASCII", header: "Authorization: {authorization}\xfc\n"},
	{name: "SlashID-OrgID", header: "SlashID-OrgID: {token}\n"},
	{name: "SlashID-OrgID, two", header: "SlashID-OrgID: {token}\nSlashID-OrgID: x{token}\n"},
	{name: "SlashID-SdkVersion", header: "SlashID-SdkVersion: {token}\n"},
	{name: "SlashID-SdkVersion, part of it", header: "SlashID-SdkVersion: {signature}\n"},
	{name: "SlashID-Required-Consistency", header: "SlashID-Required-Consistency: {token}\n"},
	{name: "SlashID-Required-Consistency, two", header: "SlashID-Required-Consistency: {token}\nSlashID-Required-Consistency: local_region\n"},
	{name: "SlashID-Required-Consistency, beyond ASCII", header: "SlashID-Required-Consistency: {token}\xfc\n"},
	{name: "SlashID-Required-Consistency-Timeout", header: "SlashID-Required-Consistency-Timeout: {token}\n"},
	{name: "SlashID-Required-Consistency-Timeout, a number in front", header: "SlashID-Required-Consistency-Timeout: 10{token}\n"},
	{name: "a trace's context", header: "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nTracestate: quash={token}\nBaggage: token={token}\n"},
	{name: "headers that tracing reads", header: "Traceparent: 00-{token}-01\nTracestate: quash={token}\nBaggage: token={token}\nX-B3-TraceId: {token}\nX-Request-Id: {token}\n"},
	{name: "headers that proxies set", header: "X-Forwarded-For: {token}\nX-Forwarded-Host: {token}\nX-Real-Ip: {token}\nForwarded: for={token}\nVia: 1.1 {token}\nX-Forwarded-Client-Cert: URI={token}\n"},
	{name: "headers that browsers send", header: "Cookie: token={token}\nReferer: https://localhost/?{token}\nOrigin: https://{token}\nUser-Agent: {token}\nAccept: {token}\nAccept-Language: {token}\nIf-None-Match: {token}\nRange: {token}\n"},
	{name: "CORS", method: http.MethodOptions, header: "Origin: https://{token}\nAccess-Control-Request-Method: {token}\nAccess-Control-Request-Headers: {token}\n"},
	{name: "headers that gRPC reads", header: "Grpc-Timeout: {token}\nGrpc-Encoding: {token}\nGrpc-Metadata-Token: {token}\nGrpc-Metadata-Token-Bin: {token}\nX-Token-Bin: {token}\nX-Http-Method-Override: {token}\n"},
	{name: "a header of its own", header: "X-Token: {token}\nToken: {token}\n"},
	{name: "the name of a header", header: "{token}: {token}\n"},
	{name: "a header without a colon", header: "{token}\n"},
	{name: "a header with a space in its name", header: "X {token}: 1\n"},
	{name: "a header that is folded", header: "X-Token: a\n {token}\n"},
	{name: "too large a header", header: strings.Repeat("X-Token: {token}\n", 150)},
	{name: "Content-Type", header: "Content-Type: {token}\n"},
	{name: "Content-Type, a subtype", header: "Content-Type: application/{token}\n"},
	{name: "Content-Type, a charset", header: "Content-Type: application/json; charset={token}\n"},
	{name: "Content-Type, a parameter", header: "Content-Type: application/json; {token}=\"{token}\n"},
	{name: "Expect", header: "Expect: {token}\n"},
	{name: "Upgrade", header: "Connection: Upgrade\nUpgrade: {token}\n"},
	{name: "Connection", header: "Connection: {token}\n"},

	{name: "the path", path: "/{token}"},
	{name: "the end of the path", path: "{path}/{token}"},
	{name: "the path of a REST API", path: "/v1/tokens/{token}:revoke"},
	{name: "a custom verb", path: "/v1/tokens:{token}"},
	{name: "a dirty path", path: "//{token}/../{token}"},
	{name: "a path with a bad escape", path: "/%zz{token}"},
	{name: "an absolute URL", path: "http://{token}/{token}"},
	{name: "no path", path: "{token}"},
	{name: "the query", query: "?token={token}&{token}=1"},
	{name: "the query, in names of fields", query: "?consistency={token}&timeout={token}&allow_invalid={token}"},
	{name: "the method", method: "{token}"},
	{name: "GET", method: http.MethodGet, query: "?token={token}"},
	{name: "the version", version: "HTTP/{token}"},
	{name: "a request line of its own", raw: "{token}\n\n"},
	{name: "an unknown host", raw: "POST {path} HTTP/1.1\nHost: {token}\nConnection: close\nContent-Length: 0\n\n"},
	{name: "a host that is none", raw: "POST {path} HTTP/1.1\nHost: {token}@{token}/\nConnection: close\nContent-Length: 0\n\n"},
	{name: "two hosts", raw: "POST {path} HTTP/1.1\nHost: {token}\nHost: x{token}\nConnection: close\nContent-Length: 0\n\n"},
	{name: "a length that is none", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Length: {token}\n\n{token}"},
	{name: "two lengths", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Length: 5\nContent-Length: 6\n\n{token}"},
	{name: "an unknown transfer encoding", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nTransfer-Encoding: {token}\n\n{token}"},
	{name: "a chunk's length", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n{token}\n{token}\n"},
	{name: "a chunk's extension", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n2;{token}={token}\n{}\n0\n\n"},
	{name: "a trailer", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\nTrailer: {token}\n\n2\n{}\n0\nX-Token: {token}\n{token}: {token}\n\n"},
	{name: "HTTP/2", raw: "PRI * HTTP/2.0\n\nSM\n\n{token}"},

	{name: "half a body", cut: 5},
	{name: "half a token", cut: 100},
	{name: "half a header", raw: "POST {path} HTTP/1.1\nHost: quash\nAuthorization: Bearer {token}"},
	{name: "half a request line", raw: "POST /{token}"},
}

// request is the text that is sent to a door.
func (m restMistake) request(c canary, path string) string {
	fill := func(text string) string {
		return c.fill(strings.ReplaceAll(text, "{path}", path))
	}
	if m.raw != "" {
		return fill(strings.ReplaceAll(m.raw, "\n", "\r\n"))
	}
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	header := m.header
	if !strings.Contains(header, "Content-Type:") {
		header += "Content-Type: application/json\n"
	}
	header += "Connection: close\n"
	body := fill(or(m.body, `{"token":"{token}"}`))
	text := fill(strings.ReplaceAll(fmt.Sprintf("%s %s%s %s\nHost: quash\n%sContent-Length: %d\n\n",
		or(m.method, http.MethodPost), or(m.path, "{path}"), m.query, or(m.version, "HTTP/1.1"), header, len(body)), "\n", "\r\n")) + body
	return text[:len(text)-m.cut]
}

// tryRESTMistakes makes all these requests at a REST door.
func (f *target) tryRESTMistakes(t *testing.T, door string, cfg *tls.Config) {
	for _, m := range restMistakes {
		where := fmt.Sprintf("%s, %s, %s", f.name, door, m.name)
		answers, err := f.send(t.Context(), hostOf(f.base), cfg, m.request(f.h.canary, paths[door]), m.partial())
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		f.h.look("answers of HTTP/1.1, raw", where, answers)
		reader := bufio.NewReader(strings.NewReader(answers))
		for n := 0; ; n++ {
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				if n == 0 && !m.partial() {
					t.Errorf("%s: there is no answer: %v", where, err)
				}
				break
			}
			if _, err := f.h.lookAtResponse(where, resp); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
}

// send writes a text to an address, says if wanted that it was all, and returns
// what comes back until the other side is done.
func (f *target) send(ctx context.Context, addr string, cfg *tls.Config, text string, all bool) (string, error) {
	conn, err := dialTCP(ctx, addr, cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// What is refused early may not be taken whole.
	if _, err := io.WriteString(conn, text); err == nil && all {
		_ = conn.CloseWrite()
	}
	var answers bytes.Buffer
	_, err = io.Copy(&answers, conn)
	return answers.String(), unlessEnded(err)
}

// unlessEnded returns the error of reading from a connection on which nothing came
// any more, and nil for one that the other side has ended, however it did.
func unlessEnded(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return err
	}
	return nil
}

// halfConn is a connection of which one direction can be ended.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// dialTCP connects to an address, in TLS where there is a configuration for it.
func dialTCP(ctx context.Context, addr string, cfg *tls.Config) (halfConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if cfg == nil {
		return conn.(*net.TCPConn), nil
	}
	cfg = cfg.Clone()
	cfg.ServerName = "127.0.0.1"
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}
