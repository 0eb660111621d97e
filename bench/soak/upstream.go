package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/quashdev/quash/sandbox"
)

// The regions of the sandbox: what happens to replication happens to one of them.
const (
	localRegion  = "us-east"
	remoteRegion = "ap-south"

	replicationLag = 50 * time.Millisecond
)

// upstream is the sandbox behind a TLS listener that can go away and come back at
// the same address.
type upstream struct {
	*sandbox.Sandbox

	addr        string // with port 0 until it is first up
	certificate tls.Certificate
	http2       bool

	server *http.Server // nil while it is down
	served chan error
}

// newUpstream returns one that is not up yet.
func newUpstream(tokenLifetime time.Duration) (*upstream, error) {
	s, err := sandbox.New(sandbox.Config{
		Regions:        []string{localRegion, "eu-west", remoteRegion},
		ReplicationLag: replicationLag,
		TokenLifetime:  tokenLifetime,
	})
	if err != nil {
		return nil, err
	}
	ip := ownLoopback()
	certificate, err := newCertificate(ip)
	if err != nil {
		return nil, fmt.Errorf("make the upstream's certificate: %w", err)
	}
	return &upstream{Sandbox: s, addr: net.JoinHostPort(ip.String(), "0"), certificate: certificate}, nil
}

// ownLoopback draws an address that nobody else uses: while the upstream is down, no
// connection or listener of others takes its port, since theirs have 127.0.0.1.
func ownLoopback() net.IP {
	ip := net.IP{127, 1, 0, 0}
	_, _ = rand.Read(ip[2:])
	return ip
}

func newCertificate(ip net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		IPAddresses:           []net.IP{ip},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// authority is what vouches for the upstream, as PEM.
func (u *upstream) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.certificate.Certificate[0]})
}

func (u *upstream) url() string { return "https://" + u.addr }

// up begins to listen.
func (u *upstream) up(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", u.addr)
	if err != nil {
		return fmt.Errorf("listen for the upstream: %w", err)
	}
	u.addr = listener.Addr().String()
	var protocols http.Protocols
	protocols.SetHTTP1(!u.http2)
	protocols.SetHTTP2(u.http2)
	server := &http.Server{
		Handler:           u.Sandbox,
		Protocols:         &protocols,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{u.certificate}},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // the connections that quash gives up
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	u.server, u.served = server, served
	return nil
}

// down ends the listener, and every connection, if there is one.
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

// swap gives up every connection, and speaks the other version of HTTP from now on.
func (u *upstream) swap(ctx context.Context) error {
	if err := u.down(); err != nil {
		return err
	}
	u.http2 = !u.http2
	return u.up(ctx)
}
