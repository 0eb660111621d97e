package e2e

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/encoding/protowire"
)

// textInput is an HTTP/1.1 request with a token in the wrong place. Empty fields mean the valid
// default: the line "POST {path} HTTP/1.1" and a valid body. raw replaces the whole request.
type textInput struct {
	name, line, header, body, raw string
	// partial is true if the rest of the request is never sent.
	partial bool
}

var textInputs = []textInput{
	{name: "nothing wrong"},
	{name: "with its scheme", body: `{"token":"Bearer {token}"}`},
	{name: "in quotes", body: `{"token":"\"{token}\""}`},
	{name: "not UTF-8", body: "{\"token\":\"{token}\xff\"}"},
	{name: "a lone surrogate", body: `{"token":"{token}\ud800"}`},
	{name: "an object", body: `{"token":{"{token}":"{token}"}}`},
	{name: "unquoted", body: `{"token":{token}}`},
	{name: "twice", body: `{"token":"{token}","token":"{token}"}`},
	{name: "after the body", body: `{"token":"{token}"}{token}`},
	{name: "an unknown member", body: `{"token":"{token}","access_token":"{token}","{token}":{"deep":["{token}"]}}`},
	{name: "the consistency", body: `{"token":"{token}","consistency":"{token}"}`},
	{name: "the timeout", body: `{"token":"{token}","timeout":"{token}s"}`},
	{name: "allow_invalid", body: `{"token":"{token}","allow_invalid":"{token}"}`},
	{name: "the whole body", body: `{token}`},
	{name: "broken JSON", body: `{"token":"{token}"`},
	{name: "a form", header: "Content-Type: application/x-www-form-urlencoded\n", body: `token={token}`},
	{name: "a compressed body", header: "Content-Encoding: gzip\n", body: "\x1f\x8b\x08{token}"},
	{name: "too long", body: `{"token":"` + strings.Repeat("{token}", 60) + `"}`},
	{name: "too large a body", body: strings.Repeat("{token}", 300)},

	{name: "SlashID-API-Key", header: "SlashID-API-Key: {caller key}\nSlashID-API-Key: {token}\n"},
	{name: "SlashID-API-Key, beyond ASCII", header: "SlashID-API-Key: {caller key}\xfc\n"},
	{name: "Authorization", header: "Authorization: {token}\n"},
	{name: "SlashID-OrgID", header: "SlashID-OrgID: {token}\n"},
	{name: "SlashID-SdkVersion", header: "SlashID-SdkVersion: {token}\n"},
	{name: "SlashID-Required-Consistency", header: "SlashID-Required-Consistency: {token}\nSlashID-Required-Consistency-Timeout: 10{token}\n"},
	{name: "headers that tracing reads", header: "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nTracestate: quash={token}\nBaggage: token={token}\nX-B3-TraceId: {token}\nX-Request-Id: {token}\n"},
	{name: "headers that proxies set", header: "X-Forwarded-For: {token}\nX-Forwarded-Host: {token}\nX-Real-Ip: {token}\nForwarded: for={token}\nVia: 1.1 {token}\nX-Forwarded-Client-Cert: URI={token}\n"},
	{name: "headers that browsers send", header: "Cookie: token={token}\nReferer: https://localhost/?{token}\nOrigin: https://{token}\nUser-Agent: {token}\nAccept: {token}\nAccept-Language: {token}\nIf-None-Match: {token}\nRange: {token}\n"},
	{name: "headers that gRPC reads", header: "Grpc-Timeout: {token}\nGrpc-Encoding: {token}\nGrpc-Metadata-Token: {token}\nGrpc-Metadata-Token-Bin: {token}\nX-Token-Bin: {token}\nX-Http-Method-Override: {token}\n"},
	{name: "CORS", line: "OPTIONS {path} HTTP/1.1", header: "Origin: https://{token}\nAccess-Control-Request-Method: {token}\nAccess-Control-Request-Headers: {token}\n"},
	{name: "the name of a header", header: "{token}: {token}\n"},
	{name: "a header without a colon", header: "{token}\n"},
	{name: "a folded header", header: "X-Token: a\n {token}\n"},
	{name: "too large a header", header: strings.Repeat("X-Token: {token}\n", 150)},
	{name: "Content-Type", header: "Content-Type: {token}\n"},
	{name: "Content-Type, its parameters", header: "Content-Type: application/json; charset={token}; {token}=\"{token}\n"},
	{name: "Expect", header: "Expect: {token}\n"},
	{name: "Upgrade", header: "Connection: Upgrade\nUpgrade: {token}\n"},

	{name: "the path", line: "POST /{token} HTTP/1.1"},
	{name: "a custom verb", line: "POST /v1/tokens:{token} HTTP/1.1"},
	{name: "a path with a bad escape", line: "POST /%zz{token} HTTP/1.1"},
	{name: "an absolute URL", line: "POST http://{token}/{token} HTTP/1.1"},
	{name: "the query", line: "POST {path}?token={token}&{token}=1&timeout={token} HTTP/1.1"},
	{name: "the method", line: "{token} {path} HTTP/1.1"},
	{name: "the version", line: "POST {path} HTTP/{token}"},
	{name: "a request line of its own", raw: "{token}\n\n"},
	{name: "the host", raw: "POST {path} HTTP/1.1\nHost: {token}@{token}/\nHost: x{token}\nConnection: close\nContent-Length: 0\n\n"},
	{name: "the length", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Length: {token}\n\n{token}"},
	{name: "an unknown transfer encoding", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nTransfer-Encoding: {token}\n\n{token}"},
	{name: "a chunk's extension and a trailer", raw: "POST {path} HTTP/1.1\nHost: quash\nConnection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\nTrailer: {token}\n\n2;{token}={token}\n{}\n0\nX-Token: {token}\n{token}: {token}\n\n"},
	{name: "HTTP/2", raw: "PRI * HTTP/2.0\n\nSM\n\n{token}"},

	{name: "half a body", raw: "POST {path} HTTP/1.1\nHost: quash\nContent-Type: application/json\nContent-Length: 1000\n\n{\"token\":\"{token}", partial: true},
	{name: "half a header", raw: "POST {path} HTTP/1.1\nHost: quash\nAuthorization: Bearer {token}", partial: true},
}

// request returns the text of the request to a path.
func (in textInput) request(s secrets, path string) string {
	fill := func(text string) string { return s.fill(strings.ReplaceAll(text, "{path}", path)) }
	if in.raw != "" {
		return fill(strings.ReplaceAll(in.raw, "\n", "\r\n"))
	}
	header := in.header
	if !strings.Contains(header, "Content-Type:") {
		header += "Content-Type: application/json\n"
	}
	body := fill(cmp.Or(in.body, `{"token":"{token}"}`))
	head := fmt.Sprintf("%s\nHost: quash\nConnection: close\n%sContent-Length: %d\n\n", cmp.Or(in.line, "POST {path} HTTP/1.1"), header, len(body))
	return fill(strings.ReplaceAll(head, "\n", "\r\n")) + body
}

// sendTextInputs sends all textInputs to a REST path and searches the answers.
func (f *target) sendTextInputs(t *testing.T, path string) {
	t.Helper()
	for _, in := range textInputs {
		where := fmt.Sprintf("%s%s, %s", f.name, path, in.name)
		text, err := roundTripText(t.Context(), f.HTTP, f.tls, in.request(f.s.secrets, path), in.partial)
		f.s.look(where, text)
		if err != nil || text == "" && !in.partial {
			t.Errorf("%s: no answer: %v", where, err)
		}
	}
}

// rpcInput is an RPC with a token in the wrong place. It is sent as hand-written frames, because
// no client library would send it.
type rpcInput struct {
	name    string
	fields  []string // of the header, in pairs; see rawHTTP2.header
	message string   // instead of a valid message
	data    string   // instead of a message with gRPC's prefix
	// write sends other frames instead of a request. They get no answer.
	write func(c *rawHTTP2)
	// partial is true if the request is incomplete, so that it gets no answer.
	partial bool
	// quotes is true if grpc-go's own answer repeats the input. Only the sender of the input
	// sees it, and grpc-go has no setting for it.
	quotes bool
}

// field returns a protobuf field with a text.
func field(number protowire.Number, text string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), text))
}

func rpcInputs(s secrets) []rpcInput {
	const numberToken, numberTimeout, numberUnknown = 1, 3, 99 // of fields
	good := field(numberToken, s.token)
	with := func(fields ...string) []string { return fields }
	return []rpcInput{
		{name: "nothing wrong"},
		{name: "with its scheme", message: field(numberToken, "Bearer "+s.token)},
		{name: "not UTF-8", message: field(numberToken, s.token+"\xff")},
		{name: "too long", message: field(numberToken, strings.Repeat(s.token, 60))},
		{name: "an unknown field", message: good + field(numberUnknown, s.token)},
		{name: "another field's", message: good + field(numberTimeout, s.token)},
		{name: "cut short", message: good[:len(good)-20]},
		{name: "no protobuf", message: s.token},
		{name: "too large", message: strings.Repeat(good, 300)},
		{name: "compressed garbage", fields: with("grpc-encoding", "gzip"), data: framed(1, s.token)},
		{name: "an invalid compression flag", data: framed(0x42, good)},
		{name: "no gRPC prefix", data: s.token},
		{name: "two messages", data: framed(0, good) + framed(0, good)},
		{name: "shorter than announced", data: framed(0, good)[:100]},

		{name: "the encoding", fields: with("grpc-encoding", "{token}"), data: framed(1, good), quotes: true},
		{name: "the content type", fields: with("content-type", "{token}"), quotes: true},
		{name: "te and the user agent", fields: with("te", "{token}", "user-agent", "{token}")},
		{name: "the authority", fields: with(":authority", "{token}")},
		{name: "the method", fields: with(":path", "/quash.v1.TokenService/{token}")},
		{name: "a short path", fields: with(":path", "/{token}"), quotes: true},
		{name: "the HTTP method", fields: with(":method", "{token}"), quotes: true},
		{name: "a pseudo field", fields: with(":token", "{token}")},
		{name: "a field with a line end", fields: with("x-token", "{token}\r\nx: {token}")},

		{name: "slashid-api-key", fields: with("slashid-api-key", "{caller key}", "slashid-api-key", "{token}")},
		{name: "slashid-api-key, beyond ASCII", fields: with("slashid-api-key", "{caller key}\xfc")},
		{name: "authorization", fields: with("authorization", "{authorization}", "authorization", "Bearer {token}")},
		{name: "slashid-orgid", fields: with("slashid-orgid", "{token}")},
		{name: "slashid-sdkversion", fields: with("slashid-sdkversion", "{token}")},
		{name: "slashid-required-consistency", fields: with("slashid-required-consistency", "{token}", "slashid-required-consistency-timeout", "{token}")},
		{name: "binary metadata", fields: with("token-bin", base64.StdEncoding.EncodeToString([]byte(s.token)))},
		{name: "binary metadata, malformed", fields: with("authorization-bin", "{token}!"), quotes: true},
		{name: "metadata that tracing reads", fields: with("traceparent", "00-{token}-01", "tracestate", "a={token}", "baggage", "a={token}", "grpc-trace-bin", base64.RawStdEncoding.EncodeToString([]byte(s.token)))},
		{name: "the key of metadata", fields: with(strings.ToLower(s.token), "{token}")},
		{name: "too large a header", fields: with("x-token", strings.Repeat("{token}", 150))},

		{name: "health of the token", fields: with(":path", "/grpc.health.v1.Health/Check"), message: field(1, s.token)},
		{name: "reflection", fields: with(":path", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), message: field(3, s.token), quotes: true},

		{name: "half a header", write: func(c *rawHTTP2) {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x40\x07x-token\x7f" + s.token)})
		}},
		{name: "garbage for a header", write: func(c *rawHTTP2) {
			c.begin([]byte("\x7f\xff\xff\xff\xff\xff\xff\xff\xff"+s.token), false)
		}},
		{name: "frames of unknown types", write: func(c *rawHTTP2) {
			_ = c.WriteRawFrame(0xfa, 0, 0, []byte(s.token))
			_ = c.WriteRawFrame(http2.FrameSettings, 0, 0, []byte(s.token)[:12])
			_ = c.WriteGoAway(0, http2.ErrCodeInternal, []byte(s.token))
		}},
		{name: "data of no request", write: func(c *rawHTTP2) { _ = c.WriteData(7, true, []byte(s.token)) }},
		{name: "not a frame", write: func(c *rawHTTP2) { c.out.WriteString(strings.Repeat(s.token, 100)) }},
		{name: "an unfinished stream", data: framed(0, good)[:50], partial: true},
	}
}

// sendRPCInputs sends all rpcInputs to a listener and searches the answers. fields replace the
// default header fields, for REST over HTTP/2.
func (f *target) sendRPCInputs(t *testing.T, addr string, fields ...string) {
	t.Helper()
	for _, in := range rpcInputs(f.s.secrets) {
		in.fields = append(fields, in.fields...)
		where := fmt.Sprintf("%s, %s, %s", f.name, addr, in.name)
		if err := f.roundTripFrames(t.Context(), addr, in, where); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// roundTripFrames sends an input over its own connection and searches the answer.
func (f *target) roundTripFrames(ctx context.Context, addr string, in rpcInput, where string) error {
	c, err := dialHTTP2(ctx, addr, f.tls)
	if err != nil {
		return err
	}
	defer c.Close()
	if in.write != nil {
		in.write(c)
	} else {
		fields := make([]string, len(in.fields))
		for i, text := range in.fields {
			fields[i] = f.s.fill(text)
		}
		message := framed(0, cmp.Or(in.message, field(1, f.s.token)))
		c.data(c.begin(c.header(fields...), false), []byte(cmp.Or(in.data, message)), !in.partial)
	}
	_ = c.WritePing(false, lastPing)
	_ = c.flush() // ignore the error: the server may reject a request before it has read all of it
	err = c.read(func(frame http2.Frame) (more bool) {
		text, end := textOf(frame)
		if !in.quotes {
			f.s.look(where, text)
		}
		return !end && (!isLastPing(frame) || !in.partial && in.write == nil)
	})
	if timedOut(err) {
		return err
	}
	return nil // a closed connection is a valid answer
}

// textOf returns the content of a frame, and whether it ends the answer.
func textOf(frame http2.Frame) (text string, end bool) {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		var all strings.Builder
		for _, field := range frame.Fields {
			fmt.Fprintf(&all, "%s: %s\n", field.Name, field.Value)
		}
		return all.String(), frame.StreamEnded()
	case *http2.DataFrame:
		return string(frame.Data()), frame.StreamEnded()
	case *http2.GoAwayFrame:
		return string(frame.DebugData()), frame.ErrCode != http2.ErrCodeNo
	case *http2.RSTStreamFrame:
		return frame.String(), true
	default:
		return frame.Header().String(), false
	}
}
