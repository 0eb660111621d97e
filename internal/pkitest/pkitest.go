// Package pkitest issues certificates for tests. It panics if a certificate cannot be issued,
// which is a mistake in the test.
package pkitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/url"
	"time"
)

// CA is a certificate authority.
type CA struct {
	pair tls.Certificate
	// chain has the intermediate certificates that a server or client must send after a
	// certificate of this CA.
	chain [][]byte
}

// NewCA returns a self-signed CA.
func NewCA(name string) *CA { return &CA{pair: issue(authority(name), nil)} }

// NewIntermediate returns a CA whose certificate is issued by ca.
func (ca *CA) NewIntermediate(name string) *CA {
	pair := issue(authority(name), ca)
	return &CA{pair: pair, chain: pair.Certificate}
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

// Issue returns a certificate from the template. By default it is valid from an hour ago to an
// hour from now, for servers and clients.
func (ca *CA) Issue(template *x509.Certificate) tls.Certificate { return issue(template, ca) }

// SelfSigned returns a self-signed certificate from the template, with the defaults of Issue.
func SelfSigned(template *x509.Certificate) tls.Certificate { return issue(template, nil) }

func issue(template *x509.Certificate, ca *CA) tls.Certificate {
	cert := *template
	now := time.Now()
	if cert.NotBefore.IsZero() {
		cert.NotBefore = now.Add(-time.Hour)
	}
	if cert.NotAfter.IsZero() {
		cert.NotAfter = now.Add(time.Hour)
	}
	if !cert.IsCA && cert.ExtKeyUsage == nil {
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	parent, signer, chain := &cert, key, [][]byte(nil)
	if ca != nil {
		parent, signer, chain = ca.pair.Leaf, ca.pair.PrivateKey.(*ecdsa.PrivateKey), ca.chain //nolint:forcetypeassert // issue makes it so
	}
	der := must(x509.CreateCertificate(rand.Reader, &cert, parent, key.Public(), signer))
	return tls.Certificate{
		Certificate: append([][]byte{der}, chain...),
		PrivateKey:  key,
		Leaf:        must(x509.ParseCertificate(der)),
	}
}

// Pool returns a pool with the certificates of the CAs.
func Pool(cas ...*CA) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.pair.Leaf)
	}
	return pool
}

// PEM returns the certificate of the CA.
func (ca *CA) PEM() []byte { return certificatesPEM(ca.pair) }

// PEM returns a certificate with its intermediate certificates, and its key.
func PEM(pair tls.Certificate) (cert, key []byte) {
	der := must(x509.MarshalPKCS8PrivateKey(pair.PrivateKey))
	return certificatesPEM(pair), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certificatesPEM(pair tls.Certificate) (text []byte) {
	for _, der := range pair.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

// URIs parses URIs for the template of a certificate.
func URIs(texts ...string) (uris []*url.URL) {
	for _, text := range texts {
		uris = append(uris, must(url.Parse(text)))
	}
	return uris
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
