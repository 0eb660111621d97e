package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"

	"github.com/quashdev/quash/internal/pkitest"
)

// newCertificate returns a certificate for loopback that vouches for itself, and it and
// its key as PEM.
func newCertificate() (pair tls.Certificate, certPEM, keyPEM []byte) {
	pair = pkitest.SelfSigned(&x509.Certificate{
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	})
	certPEM, keyPEM = pkitest.PEM(pair)
	return pair, certPEM, keyPEM
}
