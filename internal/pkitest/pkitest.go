// Package pkitest issues certificates for tests. Where one cannot be made, which is
// a mistake of the test, it panics.
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
	// along is what whoever it issues a certificate to sends along with it.
	along [][]byte
}

// NewCA returns an authority that nobody but itself vouches for.
func NewCA(name string) *CA { return &CA{pair: issue(authority(name), nil)} }

// NewIntermediate returns an authority that ca vouches for.
func (ca *CA) NewIntermediate(name string) *CA {
	pair := issue(authority(name), ca)
	return &CA{pair: pair, along: pair.Certificate}
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

// Issue returns a certificate as the template has it. Unless the template says
// otherwise it is valid for an hour around now, for servers and for clients.
func (ca *CA) Issue(template *x509.Certificate) tls.Certificate { return issue(template, ca) }

// SelfSigned does the same without an authority.
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
	parent, signer, along := &cert, key, [][]byte(nil)
	if ca != nil {
		parent, signer, along = ca.pair.Leaf, ca.pair.PrivateKey.(*ecdsa.PrivateKey), ca.along //nolint:forcetypeassert // as made here
	}
	der := must(x509.CreateCertificate(rand.Reader, &cert, parent, key.Public(), signer))
	return tls.Certificate{
		Certificate: append([][]byte{der}, along...),
		PrivateKey:  key,
		Leaf:        must(x509.ParseCertificate(der)),
	}
}

// Pool is for whoever trusts the authorities.
func Pool(cas ...*CA) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.pair.Leaf)
	}
	return pool
}

// PEM is the authority's certificate.
func (ca *CA) PEM() []byte { return certificatesPEM(ca.pair) }

// PEM returns a certificate, with those between it and its authority, and its key.
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

// URIs are for the template of a certificate.
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
