package server

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// harmless is how those of net/http's messages begin that are made of addresses,
// and of what the operating system and TLS say, and how serious they are: whoever can
// connect can fail a handshake.
var harmless = map[string]slog.Level{
	"http: TLS handshake error from ": slog.LevelInfo,
	"http: Accept error: ":            slog.LevelWarn,
}

// httpErrorLog is the log that net/http has for what goes wrong at a server. The
// rest of it may repeat what a peer sent: the debug data of a GOAWAY, and with
// GODEBUG=http2debug=2 every request.
type httpErrorLog struct{ logger *slog.Logger }

func newHTTPErrorLog(logger *slog.Logger) *log.Logger { return log.New(httpErrorLog{logger}, "", 0) }

func (l httpErrorLog) Write(message []byte) (int, error) {
	for prefix, level := range harmless {
		if text := string(message); strings.HasPrefix(text, prefix) {
			l.logger.Log(context.Background(), level, strings.TrimSpace(text))
			return len(message), nil
		}
	}
	l.logger.Warn("net/http has something to say; the text is withheld, for it may repeat what a peer sent", "bytes", len(message))
	return len(message), nil
}
