package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// upstream answers nothing until it is released, and then that every token is dead.
type upstream struct {
	url       string
	authority []byte

	arrived  chan struct{} // one for each request
	released chan struct{}
	server   *http.Server
	served   chan error
}

func newUpstream(ctx context.Context) (*upstream, error) {
	certificate, authority, _ := newCertificate()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the upstream: %w", err)
	}
	u := &upstream{
		url:       "https://" + listener.Addr().String(),
		authority: authority,
		arrived:   make(chan struct{}),
		released:  make(chan struct{}),
		served:    make(chan error, 1),
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	u.server = &http.Server{
		Handler:           u,
		Protocols:         &protocols,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // the connections that quash gives up
	}
	go func() { u.served <- u.server.ServeTLS(listener, "", "") }()
	return u, nil
}

// ServeHTTP keeps a request waiting.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	select {
	case u.arrived <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case <-u.released:
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}

// await returns once n requests wait here, and makes room for another on the way as one
// arrives. An answer before that is a call that failed.
func (u *upstream) await(ctx context.Context, n int, onTheWay <-chan struct{}, answers <-chan error) error {
	for waiting := range n {
		select {
		case <-u.arrived:
			<-onTheWay
		case err := <-answers:
			return fmt.Errorf("a call had an answer while %d were waiting: %w", waiting, err)
		case <-ctx.Done():
			return fmt.Errorf("%d calls came as far as the upstream: %w", waiting, ctx.Err())
		}
	}
	return nil
}

// release lets all of them go.
func (u *upstream) release() { close(u.released) }

func (u *upstream) close() {
	_ = u.server.Close()
	if err := <-u.served; !errors.Is(err, http.ErrServerClosed) {
		log.Println("the upstream:", err)
	}
}
