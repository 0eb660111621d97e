package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quashdev/quash/internal/pkitest"
)

func certificates(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: certificates CA [NAME=FOR,…]…")
	}
	cas := sceneOf(ts).cas
	ca := cas[args[0]]
	if ca == nil {
		ca = pkitest.NewCA(args[0])
		cas[args[0]] = ca
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), ca.PEM(), 0o600))
	for _, arg := range args[1:] {
		name, purposes, _ := strings.Cut(arg, "=")
		template := &x509.Certificate{}
		for purpose := range strings.SplitSeq(purposes, ",") {
			ip := net.ParseIP(purpose)
			switch {
			case purpose == "expired":
				template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			case purpose == "early":
				template.NotBefore, template.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
			case ip != nil:
				template.IPAddresses = append(template.IPAddresses, ip)
			case strings.Contains(purpose, ":"):
				template.URIs = append(template.URIs, pkitest.URIs(purpose)...)
			default:
				template.DNSNames = append(template.DNSNames, purpose)
			}
		}
		cert, key := pkitest.PEM(ca.Issue(template))
		ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), cert, 0o600))
		ts.Check(os.WriteFile(ts.MkAbs(keyFileOf(name+".pem")), key, 0o600))
	}
}

func keyFileOf(certFile string) string { return strings.TrimSuffix(certFile, ".pem") + "-key.pem" }

// tlsOptions parses the TLS options at the start of args. It returns nil if there are no
// options.
func tlsOptions(ts *testscript.TestScript, args []string) (cfg *tls.Config, rest []string) {
	for ; len(args) > 1; args = args[2:] {
		next := &tls.Config{MinVersion: tls.VersionTLS12}
		if cfg != nil {
			next = cfg
		}
		switch args[0] {
		case "--cacert":
			next.RootCAs = x509.NewCertPool()
			next.RootCAs.AppendCertsFromPEM([]byte(ts.ReadFile(args[1])))
		case "--cert":
			cert, err := tls.LoadX509KeyPair(ts.MkAbs(args[1]), ts.MkAbs(keyFileOf(args[1])))
			ts.Check(err)
			// Send the certificate even if the server asks for certificates of other CAs.
			next.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		case "--tls-max":
			next.MaxVersion = tlsVersions[args[1]]
		default:
			return cfg, args
		}
		cfg = next
	}
	return cfg, args
}
