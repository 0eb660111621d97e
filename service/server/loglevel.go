package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// logLevels are the levels that can be set. The flag --log-level has the same names.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// maxLogLevel is the maximum size of the request body in bytes.
const maxLogLevel = 64

// logLevel serves /loglevel, which reads and changes the minimum level of the log.
type logLevel struct {
	mu    sync.Mutex // serializes changes, so that each is logged with the right levels
	level *slog.LevelVar
	log   *slog.Logger
}

func (l *logLevel) serve(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, levelName(l.level.Level())+"\n")
}

// change sets the level until the next change or the end of the process.
//
// Level error hides rejected calls from the log. Reaching the listener is therefore not
// enough: the request must come from this machine. kubectl port-forward counts, and the
// cluster controls who may use it. Browsers on this machine are rejected: they send an Origin
// header with every PUT, even from a page whose host name resolves to this machine.
func (l *logLevel) change(w http.ResponseWriter, r *http.Request) {
	if !isLocal(r.RemoteAddr) {
		http.Error(w, "the log level can be changed from this machine only; in Kubernetes, use kubectl port-forward", http.StatusForbidden)
		return
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "the log level cannot be changed from a browser", http.StatusForbidden)
		return
	}
	// The error must not quote the body, which may contain anything.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogLevel))
	level, ok := logLevels[strings.TrimSpace(string(body))]
	if err != nil || !ok {
		http.Error(w, "the request body must be debug, info, warn or error", http.StatusBadRequest)
		return
	}
	l.set(r.Context(), level, r.RemoteAddr)
	l.serve(w, r)
}

// set changes the level and logs the change at a level that the log shows both before and
// after it. A change that silences the log must itself be logged.
func (l *logLevel) set(ctx context.Context, level slog.Level, peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.level.Level()
	l.level.Set(min(old, level))
	l.log.Log(ctx, max(slog.LevelInfo, min(old, level)), "log level changed",
		"from", levelName(old), "to", levelName(level), "peer", peer)
	l.level.Set(level)
}

func levelName(level slog.Level) string { return strings.ToLower(level.String()) }

// isLocal reports whether a peer is 127.0.0.1 or ::1. It excludes the rest of 127.0.0.0/8,
// because service-mesh sidecars forward remote requests from there: Istio's from 127.0.0.6.
func isLocal(peer string) bool {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.Unmap() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback())
}
