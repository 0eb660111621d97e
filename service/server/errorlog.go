package server

import (
	"bytes"
	"log"
	"log/slog"
	"slices"
)

// harmless is how those of net/http's messages begin that are made of addresses,
// and of what the operating system and TLS say.
var harmless = [][]byte{
	[]byte("http: TLS handshake error from "),
	[]byte("http: Accept error: "),
}

// httpErrorLog is the log that net/http has for what goes wrong at a server. The
// rest of it may repeat what a peer sent: the debug data of a GOAWAY, and with
// GODEBUG=http2debug=2 every request.
type httpErrorLog struct{ logger *slog.Logger }

func newHTTPErrorLog(logger *slog.Logger) *log.Logger { return log.New(httpErrorLog{logger}, "", 0) }

func (l httpErrorLog) Write(message []byte) (int, error) {
	if slices.ContainsFunc(harmless, func(prefix []byte) bool { return bytes.HasPrefix(message, prefix) }) {
		l.logger.Warn(string(bytes.TrimSpace(message)))
	} else {
		l.logger.Warn("net/http has something to say; the text is withheld, for it may repeat what a peer sent", "bytes", len(message))
	}
	return len(message), nil
}
