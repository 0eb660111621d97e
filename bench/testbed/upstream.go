package testbed

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/sandbox"
)

// Upstream is a sandbox behind a TLS listener that can go away, and come back at the same
// address.
type Upstream struct {
	*sandbox.Sandbox

	addr        string
	certificate tls.Certificate
	authority   []byte // PEM
	http2       bool   // or HTTP/1.1

	server *http.Server // nil while it is down
	served chan error
}

// NewUpstream returns an upstream that is up. Close must be called.
func NewUpstream(ctx context.Context, config sandbox.Config) (*Upstream, error) {
	s, err := sandbox.New(config)
	if err != nil {
		return nil, err
	}
	// An address that no other program uses: while the upstream is down, nothing else may
	// take its port.
	ip := net.IP{127, 1, 0, 0}
	_, _ = rand.Read(ip[2:])
	ca := pkitest.NewCA("upstream")
	u := &Upstream{
		Sandbox: s, addr: net.JoinHostPort(ip.String(), "0"), authority: ca.PEM(),
		certificate: ca.Issue(&x509.Certificate{IPAddresses: []net.IP{ip}, NotAfter: time.Now().AddDate(1, 0, 0)}),
	}
	return u, u.Up(ctx)
}

// URL is its base URL.
func (u *Upstream) URL() string { return "https://" + u.addr }

// Up begins to serve.
func (u *Upstream) Up(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", u.addr)
	if err != nil {
		return fmt.Errorf("listen for the upstream: %w", err)
	}
	u.addr = listener.Addr().String()
	var protocols http.Protocols
	protocols.SetHTTP1(!u.http2)
	protocols.SetHTTP2(u.http2)
	server, served := &http.Server{
		Handler:           u.Sandbox,
		Protocols:         &protocols,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{u.certificate}},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // of connections that quash gives up
	}, make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	u.server, u.served = server, served
	return nil
}

// Down closes the listener and every connection.
func (u *Upstream) Down() error {
	if u.server == nil {
		return nil
	}
	_ = u.server.Close()
	u.server = nil
	if err := <-u.served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the upstream: %w", err)
	}
	return nil
}

// Swap closes every connection, and speaks the other version of HTTP from now on.
func (u *Upstream) Swap(ctx context.Context) error {
	if err := u.Down(); err != nil {
		return err
	}
	u.http2 = !u.http2
	return u.Up(ctx)
}

// Close ends the upstream and its sandbox.
func (u *Upstream) Close() {
	u.Sandbox.Close() // and what it delays
	_ = u.Down()
}
