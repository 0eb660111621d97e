package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// protocol is what the upstream speaks.
type protocol string

const (
	http1 protocol = "HTTP/1.1"
	http2 protocol = "HTTP/2, TLS"
)

var protocols = []protocol{http1, http2}

// stub is the upstream: it answers that every token is dead.
type stub struct {
	hold                  time.Duration // how long each request waits for that
	connections, requests atomic.Int64
}

// ServeHTTP answers as SlashID does.
func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Method != http.MethodPost || r.URL.Path != dropInPath {
		http.NotFound(w, r)
		return
	}
	if s.hold > 0 {
		held := time.NewTimer(s.hold)
		defer held.Stop()
		select {
		case <-held.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Slashid-Correlation-Id", "0f6f2f1c-5c0f-4e3f-8f3a-0e9a4c1c2d11")
	w.WriteHeader(http.StatusNoContent)
}

// stubCounts are what the upstream has seen so far.
type stubCounts struct {
	Connections int64 `json:"connections"`
	Requests    int64 `json:"requests"`
}

func (s *stub) tell(w http.ResponseWriter, _ *http.Request) {
	body, _ := json.Marshal(stubCounts{s.connections.Load(), s.requests.Load()}) //nolint:errchkjson // numbers can be written
	_, _ = w.Write(body)
}

// counted counts the connections that come.
type counted struct {
	net.Listener

	connections *atomic.Int64
}

// Accept waits for one.
func (l counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.connections.Add(1)
	}
	return conn, err
}

// serveStub serves until ctx ends. What was counted is told at the admin address.
func serveStub(ctx context.Context, c childConfig, say func(addrs)) error {
	s := &stub{hold: c.hold}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // the connections that contenders give up
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: c.streams},
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return err
		}
		// Who does not ask for HTTP/2 gets HTTP/1.1, as from SlashID.
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	serving, err := listen(ctx)
	if err != nil {
		return err
	}
	telling, err := listen(ctx)
	if err != nil {
		_ = serving.Close()
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	admin := &http.Server{Handler: http.HandlerFunc(s.tell), ReadHeaderTimeout: time.Minute}
	defer func() { _ = admin.Close() }()
	running.Go(func() { _ = admin.Serve(telling) })
	say(addrs{HTTP: serving.Addr().String(), Admin: telling.Addr().String()})
	return serveHTTP(ctx, server, counted{serving, &s.connections})
}

// upstream is a stub in a process of its own.
type upstream struct {
	*process

	protocol protocol
	url      string
}

// startUpstream starts a stub, which over HTTP/2 takes so many requests at a time on a
// connection.
func (s *setup) startUpstream(ctx context.Context, speaks protocol, hold time.Duration, streams int) (*upstream, error) {
	args := []string{"-hold", hold.String(), "-streams", strconv.Itoa(streams)}
	scheme := "http://"
	if speaks == http2 {
		scheme = "https://"
		args = append(args, "-cert", s.certFile, "-key", s.keyFile)
	}
	p, err := start(ctx, s.child("upstream", args...))
	if err != nil {
		return nil, err
	}
	return &upstream{p, speaks, scheme + p.HTTP}, nil
}

// counts asks what it has seen.
func (u *upstream) counts(ctx context.Context) (c stubCounts, err error) {
	body, err := get(ctx, "http://"+u.Admin)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}
