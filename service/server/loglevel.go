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

// logLevels are those that can be set, by the names that flags have for them too.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// maxLogLevel is far more than a level and the end of its line.
const maxLogLevel = 64

// logLevel is the level of a log, to be seen and changed while it is written.
type logLevel struct {
	mu    sync.Mutex // one change at a time, so that each is logged as it was
	level *slog.LevelVar
	log   *slog.Logger
}

func (l *logLevel) serve(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, levelName(l.level.Level())+"\n")
}

// change sets the level, until it is set again or the process ends.
//
// Who sets it to error keeps the refusals of calls out of the log, so it takes more
// than to reach the listener: it is for those on this machine, which kubectl
// port-forward makes of whom the cluster lets use it. Pages in a browser there are
// none of them: all of a browser's requests with PUT have an Origin, those of a page
// that has made its own name lead to this machine included.
func (l *logLevel) change(w http.ResponseWriter, r *http.Request) {
	if !isLocal(r.RemoteAddr) {
		http.Error(w, "the log level can be changed from this machine only; in Kubernetes, use kubectl port-forward", http.StatusForbidden)
		return
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "the log level cannot be changed from a browser", http.StatusForbidden)
		return
	}
	// What else the body may hold is repeated nowhere.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogLevel))
	level, ok := logLevels[strings.TrimSpace(string(body))]
	if err != nil || !ok {
		http.Error(w, "the request body must be debug, info, warn or error", http.StatusBadRequest)
		return
	}
	l.set(r.Context(), level, r.RemoteAddr)
	l.serve(w, r)
}

// set logs the change at a level that shows before and after it: one that silences
// the log must not be silent itself.
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

// isLocal knows the machine by its own names for itself. The rest of 127.0.0.0/8 is left
// out, since sidecars of meshes call from there for others: Istio's from 127.0.0.6.
func isLocal(peer string) bool {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.Unmap() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback())
}
