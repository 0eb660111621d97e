package main

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
)

const (
	// sceneHold is that of calls that are answered when the parrot is released.
	sceneHold = "hold"
	// sceneUnasked is that of calls that are answered, and then once more.
	sceneUnasked = "unasked"
)

// The rows of the outcome table that upstream alone leads to.
const (
	rowRevoked        = "REVOKED"
	rowAlreadyInvalid = "ALREADY_INVALID"
	rowRejected       = "InvalidArgument TOKEN_REJECTED NOT_APPLIED"
	rowInProgress     = "DeadlineExceeded CONSISTENCY_TIMEOUT IN_PROGRESS"
	rowOpaqueTimeout  = "DeadlineExceeded CONSISTENCY_TIMEOUT UNKNOWN"
	rowLimited        = "ResourceExhausted UPSTREAM_RATE_LIMITED NOT_APPLIED"
	rowUnavailable    = "Unavailable UPSTREAM_UNAVAILABLE UNKNOWN"
	rowUnexpected     = "Internal UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN"
	rowNeverReached   = "Unavailable UPSTREAM_UNREACHABLE NOT_APPLIED"
	rowLost           = "Unavailable UPSTREAM_UNREACHABLE UNKNOWN"
	rowNoAnswer       = "DeadlineExceeded UPSTREAM_TIMEOUT UNKNOWN"
	rowTooShort       = "DeadlineExceeded DEADLINE_TOO_SHORT NOT_APPLIED"
	rowCancelled      = "Canceled CALLER_CANCELLED UNKNOWN"
	rowOverloaded     = "ResourceExhausted OVERLOADED NOT_APPLIED"
	rowCircuitOpen    = "Unavailable UPSTREAM_CIRCUIT_OPEN NOT_APPLIED"
	rowShuttingDown   = "Unavailable SHUTTING_DOWN NOT_APPLIED"
	rowNotAllowed     = "PermissionDenied CALLER_NOT_ALLOWED NOT_APPLIED"
	rowInvalid        = "InvalidArgument INVALID_REQUEST NOT_APPLIED"
	rowDefect         = "Internal INTERNAL UNKNOWN"

	rowKeyRefused      = "Internal UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED"
	rowUnauthenticated = "Unauthenticated CALLER_CREDENTIAL_REJECTED NOT_APPLIED"
	rowForbidden       = "PermissionDenied CALLER_CREDENTIAL_REJECTED NOT_APPLIED"
)

// act is something that the parrot does, and the row that it leads to.
type act struct{ name, row string }

// wholeAnswers are the scenes of whole answers; see replyTo. What is 401 and 403
// depends on whose credentials they are for.
var wholeAnswers = []act{
	{"204", rowRevoked},
	{"204 with trailers", rowRevoked},
	{"400", rowRejected},
	{"400 of a proxy", rowUnexpected},
	{"400 with trailers", rowRejected},
	{"408", rowInProgress},
	{"408 of a proxy", rowOpaqueTimeout},
	{"429", rowLimited},
	{"500", rowUnavailable},
	{"503", rowUnavailable},
	{"500, then 400", rowAlreadyInvalid},
	{"200", rowUnexpected},
	{"302", rowUnexpected},
	{"599", rowUnexpected},
	{"compressed", rowUnexpected},
}

// replyTo is the whole answer of a scene.
func replyTo(s sent) reply {
	long := [2]string{"retry-after", "3600"} // so that quash does not try again
	switch s.scene {
	case "400 with trailers":
		r := repeating(s, http.StatusBadRequest, envelopeOf(s, http.StatusBadRequest))
		r.trailer = r.header
		return r
	case "400 of a proxy", "408 of a proxy":
		code, _ := strconv.Atoi(s.scene[:3])
		return repeating(s, code, pageOf(s))
	case "429", "503":
		code, _ := strconv.Atoi(s.scene)
		return repeating(s, code, envelopeOf(s, code), long)
	case "500, then 400":
		if s.attempt > 1 {
			return repeating(s, http.StatusBadRequest, envelopeOf(s, http.StatusBadRequest))
		}
		return repeating(s, http.StatusInternalServerError, pageOf(s))
	case "compressed":
		return repeating(s, http.StatusBadRequest, pageOf(s), [2]string{"content-encoding", "gzip"})
	}
	if code, err := strconv.Atoi(s.scene); err == nil && code != http.StatusNoContent {
		return repeating(s, code, envelopeOf(s, code))
	}
	return repeating(s, http.StatusNoContent, "")
}

// brokenHTTP1 are the scenes of answers that HTTP/1.1 has no place for.
var brokenHTTP1 = []act{
	{"an HTTP version of its own", rowLost},
	{"no HTTP at all", rowLost},
	{"a header without a colon", rowLost},
	{"a status that is no number", rowLost},
	{"a length that is no number", rowLost},
	{"an unknown transfer encoding", rowLost},
	{"an endless header", rowLost},
	{"reset", rowLost},
	{"a chunk that is none", rowUnexpected},
	{"a body cut short", rowUnexpected},
	{"early hints", rowRevoked},
	{"another protocol", rowUnexpected},
}

// faultsHTTP1 are those scenes. They report whether the connection stays.
var faultsHTTP1 = map[string]func(c http1, s sent) bool{
	"an HTTP version of its own":   writing("HTTP/{all} 200 {all}\n\n"),
	"no HTTP at all":               writing("{all}\n{all}\n\n"),
	"a header without a colon":     writing("HTTP/1.1 400 {all}\n{all}\n\n"),
	"a status that is no number":   writing("HTTP/1.1 {token} {all}\n\n"),
	"a length that is no number":   writing("HTTP/1.1 400 {all}\nContent-Length: {all}\n\n"),
	"an unknown transfer encoding": writing("HTTP/1.1 400 {all}\nTransfer-Encoding: {all}\n\n"),
	"a chunk that is none":         writing("HTTP/1.1 400 {all}\nTransfer-Encoding: chunked\n\n{all}\n{all}\n"),
	"a body cut short":             writing("HTTP/1.1 400 {all}\nContent-Length: 100000\n\n{all}"),
	"another protocol":             writing("HTTP/1.1 101 {all}\nUpgrade: {token}\nConnection: upgrade\n\n{all}"),
	"an endless header": func(c http1, s sent) bool {
		c.write("HTTP/1.1 400 " + s.all + "\n" + strings.Repeat("X-Token: "+s.all+"\n", 1+(80<<10)/len(s.all)) + "\n")
		return false
	},
	"early hints": func(c http1, s sent) bool {
		c.answer(reply{status: http.StatusEarlyHints, header: [][2]string{{"link", s.all}, {"x-" + s.token, s.all}}}, s.all)
		c.answer(repeating(s, http.StatusNoContent, ""), s.all)
		return true
	},
	sceneUnasked: func(c http1, s sent) bool {
		c.answer(repeating(s, http.StatusNoContent, ""), s.all)
		c.answer(repeating(s, http.StatusBadRequest, envelopeOf(s, http.StatusBadRequest)), s.all)
		return true
	},
	"reset": func(c http1, s sent) bool {
		c.write("HTTP/1.1 400 " + s.all[:len(s.all)/2])
		if conn, ok := c.Conn.(*net.TCPConn); ok {
			_ = conn.SetLinger(0)
		}
		return false
	},
}

// writing is a fault that is just a text, and the end of the connection.
func writing(text string) func(http1, sent) bool {
	return func(c http1, s sent) bool {
		c.write(strings.NewReplacer("{all}", s.all, "{token}", s.token).Replace(text))
		return false
	}
}

// brokenStreams are the scenes of answers that HTTP/2 has no place for, but that
// leave other calls of the connection alone.
var brokenStreams = []act{
	{"reset stream", rowLost},
	{"no status", rowLost},
	{"a status that is no number", rowLost},
	{"a field in upper case", rowLost},
	{"a pseudo field of its own", rowLost},
	{"early hints", rowRevoked},
	{"frames of unknown types", rowRevoked},
}

// brokenConnections are those that end the connection, with all calls on it.
var brokenConnections = []act{
	{"go away", rowLost},
	{"a push", rowLost},
	{"garbage for fields", rowLost},
	{"no frame at all", rowLost},
	{"an endless header", rowLost},
}

var faultsHTTP2 = map[string]func(c *http2Conn, stream uint32, s sent){
	"reset stream": func(c *http2Conn, stream uint32, _ sent) {
		_ = c.framer.WriteRSTStream(stream, http2.ErrCodeInternal)
	},
	"no status": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, true, [2]string{"x-" + strings.ToLower(s.token), s.all})
	},
	"a status that is no number": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, true, [2]string{":status", s.token})
	},
	"a field in upper case": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, true, [2]string{":status", "400"}, [2]string{"X-" + s.token, s.all})
	},
	"a pseudo field of its own": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, true, [2]string{":status", "400"}, [2]string{":" + s.token, s.all})
	},
	"early hints": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, false, [2]string{":status", "103"}, [2]string{"link", s.all})
		c.answer(stream, repeating(s, http.StatusNoContent, ""))
	},
	"frames of unknown types": func(c *http2Conn, stream uint32, s sent) {
		const altSvc, unknown = 0xa, 0xfa
		c.frame(altSvc, 0, 0, "\x00\x00"+s.all)
		c.frame(unknown, 0, stream, s.all)
		c.frame(unknown, 0, 0, s.all)
		c.answer(stream, repeating(s, http.StatusNoContent, ""))
	},
	"go away": func(c *http2Conn, stream uint32, s sent) { c.goAway(stream, s.all) },
	"a push": func(c *http2Conn, stream uint32, s sent) {
		c.frame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, stream, "\x00\x00\x00\x02"+s.all)
		c.goAway(stream, s.all)
	},
	"garbage for fields": func(c *http2Conn, stream uint32, s sent) {
		c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, "\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff"+s.all)
	},
	"no frame at all": func(c *http2Conn, _ uint32, s sent) {
		_, _ = c.Write([]byte("HTTP/1.1 400 " + s.all + "\r\n\r\n" + s.all))
	},
	"an endless header": func(c *http2Conn, stream uint32, s sent) {
		c.fields(stream, true, [2]string{":status", "400"}, [2]string{"x-token", strings.Repeat(s.all, 1+(80<<10)/len(s.all))})
	},
}
