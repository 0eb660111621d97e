package server

import (
	"log"
	"log/slog"
	"strings"
)

// httpErrorLog is the log that net/http has for what goes wrong at a server. The
// rest of it may repeat what a peer sent: the debug data of a GOAWAY, and with
// GODEBUG=http2debug=2 every request.
type httpErrorLog struct{ logger *slog.Logger }

func newHTTPErrorLog(logger *slog.Logger) *log.Logger { return log.New(httpErrorLog{logger}, "", 0) }

func (l httpErrorLog) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message))
	if handshake, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		// Whoever can connect can fail one, so it is no warning.
		peer, cause, _ := strings.Cut(handshake, ": ")
		l.logger.Info("TLS handshake failed", "peer", peer, "cause", handshakeCause(cause))
		return len(message), nil
	}
	if strings.HasPrefix(text, "http: Accept error: ") { // the operating system's words
		l.logger.Warn(text)
		return len(message), nil
	}
	l.logger.Warn("net/http has something to say; the text is withheld, for it may repeat what a peer sent", "bytes", len(message))
	return len(message), nil
}
