package main

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
)

// authority issues the certificates that quash serves, into files that it watches.
type authority struct {
	*pkitest.CA

	certFile, keyFile string
}

func newAuthority(folder string) (*authority, error) {
	a := &authority{pkitest.NewCA("dashboard"), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")}
	return a, a.replace()
}

// pool is what clients trust.
func (a *authority) pool() *x509.CertPool { return pkitest.Pool(a.CA) }

// replace has quash serve a new certificate.
func (a *authority) replace() error {
	cert, key := pkitest.PEM(a.Issue(&x509.Certificate{
		NotAfter:    time.Now().AddDate(0, 0, 20),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}))
	if err := os.WriteFile(a.keyFile, key, 0o600); err != nil {
		return err
	}
	return os.WriteFile(a.certFile, cert, 0o600)
}

// spoil replaces the certificate by something else.
func (a *authority) spoil() error {
	return os.WriteFile(a.certFile, []byte("no certificate\n"), 0o600)
}
