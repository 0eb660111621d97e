package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quashdev/quash/internal/filewatch"
	"github.com/quashdev/quash/service/server"
)

// tlsFlags say what quash proves itself with to its callers, and who they may be.
type tlsFlags struct {
	CertFile     fileName   `name:"tls-cert-file" placeholder:"FILE" configz:"visible" help:"A PEM file with the certificate to serve gRPC and REST with, and those between it and its authority. Like the other files here it is read again when it changes."`
	KeyFile      fileName   `name:"tls-key-file" placeholder:"FILE" configz:"visible" help:"A PEM file with its private key."`
	ClientCAFile fileName   `name:"tls-client-ca-file" placeholder:"FILE" configz:"visible" help:"PEM certificates of the authorities that vouch for callers: who has no certificate of theirs is not let in."`
	MinVersion   tlsVersion `name:"tls-min-version" default:"1.3" configz:"visible" help:"The least version of TLS to speak: 1.2 or 1.3."`

	AllowedCallersFile fileName `placeholder:"FILE" configz:"visible" help:"A file with an identity a line, of those who alone may call: a URI such as a SPIFFE ID, or a DNS name, of the client certificate. A * at the end matches any rest, # begins a comment."`
}

// access is what those flags lead to. Its zero value lets everyone in, in
// plaintext.
type access struct {
	tls     *server.TLS
	allowed func() server.AllowedCallers
	watched []watchedFile
}

// access reads the files, or says what is wrong with them.
func (f *tlsFlags) access() (a access, problems []string) {
	problems = f.missing()
	if f.CertFile != "" && f.KeyFile != "" {
		cert, err := filewatch.LoadPair(string(f.CertFile), string(f.KeyFile), parseKeyPair)
		if err != nil {
			problems = append(problems, fmt.Sprintf("--tls-cert-file, --tls-key-file: %s", err))
		} else {
			a.tls = &server.TLS{Certificate: cert.Get, MinVersion: uint16(f.MinVersion)}
			a.watched = append(a.watched, watched("tls_certificate", "the TLS certificate", cert))
		}
	}
	if f.ClientCAFile != "" {
		cas, err := filewatch.Load(string(f.ClientCAFile), parseCertificates)
		if err != nil {
			problems = append(problems, fmt.Sprintf("--tls-client-ca-file %s", err))
		} else if a.tls != nil {
			a.tls.ClientCAs = cas.Get
			a.watched = append(a.watched, watched("client_ca", "the list of client authorities", cas))
		}
	}
	if f.AllowedCallersFile != "" {
		allowed, err := filewatch.Load(string(f.AllowedCallersFile), server.ParseAllowedCallers)
		if err != nil {
			problems = append(problems, fmt.Sprintf("--allowed-callers-file %s", err))
		} else {
			a.allowed = allowed.Get
			a.watched = append(a.watched, watched("allowed_callers", "the list of allowed callers", allowed))
		}
	}
	return a, problems
}

// missing says which flags another one needs.
func (f *tlsFlags) missing() (problems []string) {
	switch {
	case f.CertFile != "" && f.KeyFile == "":
		problems = append(problems, "--tls-cert-file needs --tls-key-file, the private key that belongs to it")
	case f.CertFile == "" && f.KeyFile != "":
		problems = append(problems, "--tls-key-file needs --tls-cert-file, the certificate that belongs to it")
	case f.CertFile == "" && f.ClientCAFile != "":
		problems = append(problems, "--tls-client-ca-file needs --tls-cert-file and --tls-key-file: callers show a certificate only to one who has one")
	}
	if f.AllowedCallersFile != "" && f.ClientCAFile == "" {
		problems = append(problems, "--allowed-callers-file needs --tls-client-ca-file: only a certificate says who calls")
	}
	return problems
}

// enabled reports whether TLS is wanted, files that are wrong or not.
func (f *tlsFlags) enabled() bool { return f.CertFile != "" || f.KeyFile != "" }

// parseKeyPair reads a certificate with its chain, and its key. Neither is quoted
// in what crypto/tls finds wrong.
func parseKeyPair(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); now.After(cert.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate expired on %s", cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	return &cert, nil
}

// parseCertificates reads all certificates of a bundle: one that is left out would
// be missed later.
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

// fileName is the name of a file. A flag or a variable that is there and empty is a
// mistake, of a template for instance, and must not mean that everyone may call.
type fileName string

func parseFileName(text string) (fileName, error) {
	if text == "" {
		return "", errors.New("empty")
	}
	return fileName(text), nil
}

type tlsVersion uint16

func parseTLSVersion(text string) (tlsVersion, error) {
	switch text {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	default:
		return 0, errors.New("unknown version")
	}
}

func (v tlsVersion) String() string { return strings.TrimPrefix(tls.VersionName(uint16(v)), "TLS ") }
