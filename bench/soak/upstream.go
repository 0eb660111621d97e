package soak

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

// The regions of the sandbox. What happens to replication happens to the remote one.
const (
	localRegion    = "us-east"
	remoteRegion   = "ap-south"
	replicationLag = 50 * time.Millisecond
)

// upstream is the sandbox behind a TLS listener that can go away, and come back at the
// same address.
type upstream struct {
	*sandbox.Sandbox

	addr        string
	certificate tls.Certificate
	authority   []byte // PEM
	http2       bool   // or HTTP/1.1

	server *http.Server // nil while it is down
	served chan error
}

func newUpstream(ctx context.Context, tokenLifetime time.Duration) (*upstream, error) {
	s, err := sandbox.New(sandbox.Config{
		Regions:        []string{localRegion, "eu-west", remoteRegion},
		ReplicationLag: replicationLag,
		TokenLifetime:  tokenLifetime,
	})
	if err != nil {
		return nil, err
	}
	// An address that no other program uses: while the upstream is down, nothing else may
	// take its port.
	ip := net.IP{127, 1, 0, 0}
	_, _ = rand.Read(ip[2:])
	ca := pkitest.NewCA("upstream")
	u := &upstream{
		Sandbox: s, addr: net.JoinHostPort(ip.String(), "0"), authority: ca.PEM(),
		certificate: ca.Issue(&x509.Certificate{IPAddresses: []net.IP{ip}, NotAfter: time.Now().AddDate(1, 0, 0)}),
	}
	return u, u.up(ctx)
}

// up begins to serve.
func (u *upstream) up(ctx context.Context) error {
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

// down closes the listener and every connection.
func (u *upstream) down() error {
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

// swap closes every connection, and speaks the other version of HTTP from now on.
func (u *upstream) swap(ctx context.Context) error {
	if err := u.down(); err != nil {
		return err
	}
	u.http2 = !u.http2
	return u.up(ctx)
}

func (u *upstream) close() {
	u.Close() // the sandbox, which ends what it delays
	_ = u.down()
}
