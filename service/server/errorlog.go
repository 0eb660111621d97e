package server

import (
	"log"
	"log/slog"
	"strings"
)

// httpErrorLog is the ErrorLog of an http.Server. It suppresses texts that may contain what a
// client sent: the debug data of a GOAWAY or, with GODEBUG=http2debug=2, every request.
type httpErrorLog struct{ logger *slog.Logger }

func newHTTPErrorLog(logger *slog.Logger) *log.Logger { return log.New(httpErrorLog{logger}, "", 0) }

func (l httpErrorLog) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message))
	if handshake, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		peer, cause, _ := strings.Cut(handshake, ": ")
		logHandshake(l.logger, peer, cause)
		return len(message), nil
	}
	if strings.HasPrefix(text, "http: Accept error: ") { // the listener logs it
		return len(message), nil
	}
	l.logger.Warn("HTTP server error; text suppressed because it may contain what the client sent", "bytes", len(message))
	return len(message), nil
}

// handshakeCauses are the parts of handshake errors that are safe to log. The rest of an
// error of crypto/tls may contain what the client sent: protocol names, names in its
// certificates.
var handshakeCauses = []string{
	"first record does not look like a TLS handshake",
	"client sent an HTTP request to an HTTPS server",
	"client offered only unsupported versions",
	"no cipher suite supported by both client and server",
	"client requested unsupported application protocols",
	"client didn't provide a certificate",
	"certificate signed by unknown authority",
	"certificate has expired or is not yet valid",
	"certificate specifies an incompatible key usage",
	"failed to verify certificate",
	"remote error: tls: bad certificate",
	"remote error: tls: unknown certificate authority",
	"remote error: tls: unknown certificate",
	"remote error",
	"connection reset by peer",
	"deadline exceeded",
	"i/o timeout",
	"EOF",
}

// logHandshake logs a failed TLS handshake. The level is info, because any client that can
// connect can cause one.
func logHandshake(logger *slog.Logger, peer, text string) {
	cause := "text suppressed because it may contain what the client sent"
	for _, known := range handshakeCauses {
		if strings.Contains(text, known) {
			cause = known
			break
		}
	}
	logger.Info("TLS handshake failed", "peer", peer, "cause", cause)
}
