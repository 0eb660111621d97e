package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quashdev/quash/internal/pkitest"
)

// setup is what a run has from its beginning to its end.
type setup struct {
	self   string // this binary
	quash  []build
	nginx  string // where it is installed, or empty
	tmp    string
	tokens *tokens

	// Files: the upstream's certificate, which vouches for itself, its key, and the API
	// key that quash sends.
	certFile, keyFile, apiKeyFile string

	collector *collector
	progress  io.Writer
}

// upstreamName is whom the upstream's certificate is for, besides 127.0.0.1.
const upstreamName = "localhost"

// newSetup prepares a run. Its close removes what there is.
func newSetup(ctx context.Context, quash []build, progress io.Writer) (s *setup, err error) {
	s = &setup{quash: quash, tokens: newTokens(), progress: progress}
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for i, b := range quash {
		if s.quash[i].path, err = filepath.Abs(b.path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(s.quash[i].path); err != nil {
			return nil, fmt.Errorf("%s: %w (`make build` builds it)", b.name, err)
		}
	}
	s.nginx, _ = exec.LookPath("nginx")
	if s.tmp, err = os.MkdirTemp("", "quash-bench-"); err != nil {
		return nil, err
	}
	certPEM, keyPEM := pkitest.PEM(pkitest.SelfSigned(&x509.Certificate{
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{upstreamName},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}))
	for _, f := range []struct {
		path    *string
		name    string
		content []byte
	}{{&s.certFile, "cert.pem", certPEM}, {&s.keyFile, "key.pem", keyPEM}, {&s.apiKeyFile, "api-key", []byte(apiKey)}} {
		*f.path = filepath.Join(s.tmp, f.name)
		if err := os.WriteFile(*f.path, f.content, 0o600); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if s.collector, err = startCollector(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *setup) close() (err error) {
	if s.collector != nil {
		err = s.collector.close()
	}
	return errors.Join(err, os.RemoveAll(s.tmp))
}

func (s *setup) sayf(format string, args ...any) { fmt.Fprintf(s.progress, format+"\n", args...) }

// get asks for a page on loopback.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return body, nil
}
