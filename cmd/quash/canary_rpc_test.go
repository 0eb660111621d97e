package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

// rpcMistake is an RPC with the token where it does not belong. It goes out frame by
// frame, for no client would send it.
type rpcMistake struct {
	name string
	// set replaces fields of the header, add adds some. {token} and its like stand
	// for the canary.
	set map[string]string
	add [][2]string
	// message is the message instead of a good one; data is what goes out instead of
	// a message in gRPC's frame.
	message, data string
	// write is what goes out instead of a request.
	write func(fr *http2.Framer, fill func(string) string)
	// open leaves the request without an end, and nobody waits for an answer.
	open bool
	// own is whether grpc-go's own answer quotes what it got. Only who sent it sees
	// that, and there is no way to have it not do so: see TestCanary.
	own bool
}

// field is a field of a message, in the bytes of protobuf.
func field(number protowire.Number, text string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), text))
}

const (
	numberToken   = 1
	numberTimeout = 3
	numberUnknown = 99
)

// framed puts a message into gRPC's frame.
func framed(flag byte, message string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))) + message
}

func rpcMistakes(c canary) []rpcMistake {
	good := field(numberToken, c.token)
	return []rpcMistake{
		{name: "none at all"},
		{name: "with its scheme", message: field(numberToken, "Bearer "+c.token)},
		{name: "in quotes", message: field(numberToken, `"`+c.token+`"`)},
		{name: "not UTF-8", message: field(numberToken, c.token+"\xff")},
		{name: "too long", message: field(numberToken, strings.Repeat(c.token, 60))},
		{name: "an unknown field", message: good + field(numberUnknown, c.token)},
		{name: "another field's", message: good + field(numberTimeout, c.token)},
		{name: "another type", message: string(protowire.AppendVarint(protowire.AppendTag(nil, numberToken, protowire.VarintType), 1)) + c.token},
		{name: "cut short", message: good[:len(good)-20]},
		{name: "no protobuf", message: c.token},
		{name: "JSON", set: map[string]string{"content-type": "application/grpc+json"}, message: `{"token":"` + c.token + `"}`},
		{name: "an enum that there is not", message: good + "\x10\x63"},
		{name: "too large", message: strings.Repeat(field(numberToken, c.token), 300)},
		{name: "compressed, with no encoding", data: framed(1, good)},
		{name: "compressed garbage", set: map[string]string{"grpc-encoding": "gzip"}, data: framed(1, c.token)},
		{name: "a frame of no kind", data: framed(0x42, good)},
		{name: "no frame", data: c.token},
		{name: "more than its frame", data: framed(0, good) + c.token},
		{name: "two messages", data: framed(0, good) + framed(0, good)},
		{name: "less than its frame", data: framed(0, good)[:100]},

		{name: "the encoding", set: map[string]string{"grpc-encoding": "{token}"}, data: framed(1, good), own: true},
		{name: "the accepted encodings", add: [][2]string{{"grpc-accept-encoding", "{token}"}}},
		{name: "the timeout", add: [][2]string{{"grpc-timeout", "{token}"}}, own: true},
		{name: "the timeout's unit", add: [][2]string{{"grpc-timeout", "1{signature}"}}, own: true},
		{name: "the message type", add: [][2]string{{"grpc-message-type", "{token}"}}},
		{name: "the content type", set: map[string]string{"content-type": "{token}"}, own: true},
		{name: "the content type's subtype", set: map[string]string{"content-type": "application/grpc+{token}"}, own: true},
		{name: "te", set: map[string]string{"te": "{token}"}},
		{name: "the user agent", add: [][2]string{{"user-agent", "{token}"}}},
		{name: "the authority", set: map[string]string{":authority": "{token}"}},
		{name: "authority and host", add: [][2]string{{"host", "{token}"}}},
		{name: "two authorities", add: [][2]string{{"host", "{token}"}, {"host", "x{token}"}}},
		{name: "connection", add: [][2]string{{"connection", "{token}"}}},
		{name: "the method", set: map[string]string{":path": "/quash.v1.TokenService/{token}"}},
		{name: "the service", set: map[string]string{":path": "/{token}/Revoke"}},
		{name: "a path of more", set: map[string]string{":path": "/quash.v1.TokenService/Revoke/{token}"}},
		{name: "a path of less", set: map[string]string{":path": "/{token}"}, own: true},
		{name: "a path without a slash", set: map[string]string{":path": "{token}"}, own: true},
		{name: "a query", set: map[string]string{":path": "/quash.v1.TokenService/Revoke?token={token}"}},
		{name: "the HTTP method", set: map[string]string{":method": "{token}"}, own: true},
		{name: "the scheme", set: map[string]string{":scheme": "{token}"}},
		{name: "a pseudo field", add: [][2]string{{":token", "{token}"}}},
		{name: "a field in upper case", add: [][2]string{{"X-Token", "{token}"}}},
		{name: "a field with a line end", add: [][2]string{{"x-token", "{token}\r\nx: {token}"}}},

		{name: "slashid-api-key", add: [][2]string{{"slashid-api-key", "{token}"}}},
		{name: "slashid-api-key, two", add: [][2]string{{"slashid-api-key", "{caller key}"}, {"slashid-api-key", "{token}"}}},
		{name: "slashid-api-key, beyond ASCII", add: [][2]string{{"slashid-api-key", "{caller key}\xfc"}}},
		{name: "authorization", add: [][2]string{{"authorization", "Bearer {token}"}}},
		{name: "authorization, two", add: [][2]string{{"authorization", "{authorization}"}, {"authorization", "Bearer {token}"}}},
		{name: "slashid-orgid", add: [][2]string{{"slashid-orgid", "{token}"}}},
		{name: "slashid-sdkversion", add: [][2]string{{"slashid-sdkversion", "{token}"}}},
		{name: "slashid-sdkversion, part of it", add: [][2]string{{"slashid-sdkversion", "{signature}"}}},
		{name: "slashid-required-consistency", add: [][2]string{{"slashid-required-consistency", "{token}"}}},
		{name: "slashid-required-consistency-timeout", add: [][2]string{{"slashid-required-consistency-timeout", "{token}"}}},
		{name: "binary metadata", add: [][2]string{{"token-bin", base64.StdEncoding.EncodeToString([]byte(c.token))}}},
		{name: "binary metadata, malformed", add: [][2]string{{"token-bin", "{token}!"}}, own: true},
		{name: "binary metadata under a known name", add: [][2]string{{"authorization-bin", "{token}!"}}, own: true},
		{name: "metadata that tracing reads", add: [][2]string{{"traceparent", "00-{token}-01"}, {"tracestate", "a={token}"}, {"baggage", "a={token}"}, {"grpc-trace-bin", base64.RawStdEncoding.EncodeToString([]byte(c.token))}}},
		{name: "metadata of its own", add: [][2]string{{"x-token", "{token}"}, {"token", "{token}"}}},
		{name: "the key of metadata", add: [][2]string{{strings.ToLower(c.token), "{token}"}}},
		{name: "too large a header", add: [][2]string{{"x-token", strings.Repeat("{token}", 150)}}},

		{name: "health of the token", set: map[string]string{":path": "/grpc.health.v1.Health/Check"}, message: field(1, c.token)},
		{name: "reflection", set: map[string]string{":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}, message: field(3, c.token), own: true},

		{name: "half a header", open: true, write: func(fr *http2.Framer, fill func(string) string) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x40\x07x-token\x7f" + fill("{token}"))})
		}},
		{name: "garbage for a header", open: true, write: func(fr *http2.Framer, fill func(string) string) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x7f\xff\xff\xff\xff\xff\xff\xff\xff" + fill("{token}")), EndHeaders: true})
		}},
		{name: "frames of unknown types", open: true, write: func(fr *http2.Framer, fill func(string) string) {
			_ = fr.WriteRawFrame(0xfa, 0, 0, []byte(fill("{token}")))
			_ = fr.WriteRawFrame(http2.FrameSettings, 0, 0, []byte(fill("{token}"))[:12])
			_ = fr.WriteRawFrame(http2.FrameGoAway, 0, 0, []byte("\x00\x00\x00\x00\x00\x00\x00\x02"+fill("{token}")))
		}},
		{name: "data of no request", open: true, write: func(fr *http2.Framer, fill func(string) string) {
			_ = fr.WriteData(7, true, []byte(fill("{token}")))
		}},
		{name: "no frame at all", open: true, write: func(fr *http2.Framer, fill func(string) string) {
			_ = fr.WriteRawFrame(http2.FrameData, 0, 1<<30, []byte(strings.Repeat(fill("{token}"), 100)))
		}},
		{name: "no end", data: framed(0, good)[:50], open: true},
		{name: "no message", data: "\x00", open: true},
	}
}

// tryRPCMistakes makes all these calls of gRPC.
func (f *target) tryRPCMistakes(t *testing.T) {
	for _, m := range rpcMistakes(f.h.canary) {
		where := fmt.Sprintf("%s, gRPC, %s", f.name, m.name)
		answer, err := f.exchange(t.Context(), f.addrs["GRPC"], nil, m, where)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if what, _ := f.h.find(answer); m.own && what == "" {
			t.Errorf("%s: grpc-go does not quote it any more: %q", where, answer)
		}
	}
	for _, text := range []string{"POST /{token} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n", http2.ClientPreface + "{token}", "PRI * HTTP/{token}"} {
		answer, err := f.send(t.Context(), f.addrs["GRPC"], nil, f.h.fill(text), true)
		if err != nil {
			t.Errorf("%s: %q: %v", f.name, text, err)
		}
		f.h.look("answers of gRPC, raw", f.name+", gRPC, no HTTP/2", answer)
	}
}

// tryHTTP2Mistakes makes calls like these where REST is served over HTTP/2.
func (f *target) tryHTTP2Mistakes(t *testing.T, addr string, cfg *tls.Config) {
	for _, m := range append(rpcMistakes(f.h.canary), rpcMistake{name: "a JSON body", data: `{"token":"` + f.h.token + `"}`}) {
		m.own = false
		m.set = maps.Clone(m.set)
		if m.set == nil {
			m.set = map[string]string{}
		}
		for name, value := range map[string]string{":path": paths[doorDropIn], "content-type": "application/json"} {
			if m.set[name] == "" {
				m.set[name] = value
			}
		}
		where := fmt.Sprintf("%s, REST over HTTP/2, %s", f.name, m.name)
		if _, err := f.exchange(t.Context(), addr, cfg, m, where); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// exchange makes a call over a connection of its own, and returns all that comes
// back.
func (f *target) exchange(ctx context.Context, addr string, cfg *tls.Config, m rpcMistake, where string) (answer string, err error) {
	conn, err := dialTCP(ctx, addr, cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, conn)
	fr.AllowIllegalWrites = true
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	if m.write != nil {
		m.write(fr, f.h.fill)
	} else {
		m.request(fr, f.h.canary)
	}
	_ = fr.WritePing(false, [8]byte{})
	// What is refused early may not be taken whole.
	_, _ = conn.Write(out.Bytes())
	return f.read(fr, m, where)
}

func (m rpcMistake) request(fr *http2.Framer, c canary) {
	fields := [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", "/quash.v1.TokenService/Revoke"},
		{":authority", "quash"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	}
	for i, one := range fields {
		if value, ok := m.set[one[0]]; ok {
			fields[i][1] = value
		}
	}
	for _, name := range []string{"grpc-encoding"} {
		if value, ok := m.set[name]; ok {
			fields = append(fields, [2]string{name, value})
		}
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, one := range append(fields, m.add...) {
		_ = encoder.WriteField(hpack.HeaderField{Name: one[0], Value: c.fill(one[1])})
	}
	const most = 16 << 10 // of a frame
	first := block.Next(most)
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: bytes.Clone(first), EndHeaders: block.Len() == 0})
	for block.Len() > 0 {
		next := bytes.Clone(block.Next(most))
		_ = fr.WriteContinuation(1, block.Len() == 0, next)
	}
	data := []byte(m.data)
	if m.data == "" {
		message := m.message
		if message == "" {
			message = field(numberToken, c.token)
		}
		data = []byte(framed(0, message))
	}
	for len(data) > most {
		_ = fr.WriteData(1, false, data[:most])
		data = data[most:]
	}
	_ = fr.WriteData(1, !m.open, data)
}

// read looks at all frames to the end of the answer or, where there is none to
// come, to the sign that what went out has been read.
func (f *target) read(fr *http2.Framer, m rpcMistake, where string) (answer string, err error) {
	var all strings.Builder
	look := func(kind, text string) {
		all.WriteString(text + "\n")
		if m.own {
			return
		}
		f.h.look(kind, where, text)
	}
	for {
		frame, err := fr.ReadFrame()
		if err != nil {
			return all.String(), unlessEnded(err) // the end of the connection is an answer
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, one := range frame.Fields {
				look("headers and trailers", one.Name+": "+one.Value)
			}
			if frame.StreamEnded() {
				return all.String(), nil
			}
		case *http2.DataFrame:
			look("bodies", string(frame.Data()))
			if frame.StreamEnded() {
				return all.String(), nil
			}
		case *http2.GoAwayFrame:
			look("other frames", string(frame.DebugData()))
			if frame.ErrCode != http2.ErrCodeNo {
				return all.String(), nil // the connection ends a second later
			}
		case *http2.RSTStreamFrame:
			look("other frames", frame.String())
			return all.String(), nil
		case *http2.PingFrame:
			look("other frames", string(frame.Data[:]))
			if m.open {
				return all.String(), nil
			}
		default:
			look("other frames", frame.Header().String())
		}
	}
}
