package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/quashdev/quash/internal/filewatch"
	"github.com/quashdev/quash/service/server"
)

// tlsFlags are the flags for quash's own certificate and for allowed callers.
type tlsFlags struct {
	CertFile     fileName `name:"tls-cert-file" placeholder:"FILE" help:"PEM file with the certificate for serving gRPC and REST, followed by its intermediate certificates. Like the other files of this group, it is reloaded when it changes."`
	KeyFile      fileName `name:"tls-key-file" placeholder:"FILE" help:"PEM file with the private key of --tls-cert-file."`
	ClientCAFile fileName `name:"tls-client-ca-file" placeholder:"FILE" help:"PEM file with the CA certificates for callers. Clients without a certificate from one of these CAs are rejected. If unset, clients need no certificate."`
	MinVersion   string   `name:"tls-min-version" default:"1.3" enum:"1.2,1.3" help:"Minimum TLS version: 1.2 or 1.3."`

	AllowedCallersFile fileName `placeholder:"FILE" help:"File with the callers that may call, one identity per line: a URI (such as a SPIFFE ID) or a DNS name of the client certificate. A * at the end matches any suffix, # starts a comment. If unset, every caller with an accepted certificate may call."`
}

// access is the result of tlsFlags. Its zero value means plaintext, and accepts every caller.
type access struct {
	tls     *server.TLS
	allowed func() server.AllowedCallers
}

// access loads the files of the flags.
func (f *tlsFlags) access(fs *files) (a access) {
	f.checkTogether(&fs.wrong)
	if f.CertFile != "" && f.KeyFile != "" {
		pair, err := filewatch.LoadPair(string(f.CertFile), string(f.KeyFile), parseKeyPair)
		a.tls = &server.TLS{
			Certificate: add(fs, "--tls-cert-file, --tls-key-file:", "tls_certificate", "TLS certificate", pair, err),
			ClientCAs:   read(fs, "--tls-client-ca-file", f.ClientCAFile, "client_ca", "client CA", parseCertificates),
			MinVersion:  tlsVersions[f.MinVersion],
		}
	}
	a.allowed = read(fs, "--allowed-callers-file", f.AllowedCallersFile, "allowed_callers", "allowed callers", server.ParseAllowedCallers)
	return a
}

var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// checkTogether rejects a flag that is set without another flag that it needs.
func (f *tlsFlags) checkTogether(wrong *usageError) {
	switch {
	case f.CertFile != "" && f.KeyFile == "":
		wrong.addf("--tls-cert-file needs --tls-key-file: set the private key of the certificate")
	case f.CertFile == "" && f.KeyFile != "":
		wrong.addf("--tls-key-file needs --tls-cert-file: set the certificate of the private key")
	case f.CertFile == "" && f.ClientCAFile != "":
		wrong.addf("--tls-client-ca-file needs --tls-cert-file and --tls-key-file: client certificates require TLS")
	}
	if f.AllowedCallersFile != "" && f.ClientCAFile == "" {
		wrong.addf("--allowed-callers-file needs --tls-client-ca-file: callers are identified by their client certificates")
	}
}

// enabled reports whether a flag asks for TLS, even if its file is not valid.
func (f *tlsFlags) enabled() bool { return f.CertFile != "" || f.KeyFile != "" }

// parseKeyPair parses a certificate with its chain, and its key. The errors of crypto/tls
// quote neither.
func parseKeyPair(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	switch now := time.Now(); {
	case now.After(cert.Leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired on %s", cert.Leaf.NotAfter.Format(time.RFC3339))
	case now.Before(cert.Leaf.NotBefore):
		return nil, fmt.Errorf("the certificate is not valid before %s", cert.Leaf.NotBefore.Format(time.RFC3339))
	}
	return &cert, nil
}

// parseCertificates parses all certificates of a bundle. It fails if one of them is not valid:
// skipping it would make TLS handshakes fail later.
func parseCertificates(content []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("its certificate %d is broken: %w", n+1, err)
		}
		pool.AddCert(cert)
		n++
	}
	switch {
	case n == 0:
		return nil, errors.New("it holds no PEM certificate")
	case bytes.Count(content, []byte("-----BEGIN CERTIFICATE-----")) != n:
		return nil, errors.New("one of its certificates is cut off or broken")
	}
	return pool, nil
}
