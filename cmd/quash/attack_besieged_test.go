package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quashdev/quash/sandbox"
)

// besieged is a quash in a process of its own, so that its memory and descriptors
// are nobody else's.
type besieged struct {
	*process

	upstream   *upstream
	grpc, rest string      // addresses
	tls        *tls.Config // of its clients; nil where it serves plaintext
}

// upstream is a sandbox behind a gate.
type upstream struct {
	*sandbox.Sandbox

	url string

	mu       sync.Mutex
	open     chan struct{} // calls wait until it is closed
	inFlight int
	most     int // of inFlight
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{Sandbox: s, open: make(chan struct{})}
	close(u.open)
	server := httptest.NewServer(u)
	u.url = server.URL
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	return u
}

// hold makes calls wait from now on, until the returned function is called.
func (u *upstream) hold() (release func()) {
	open := make(chan struct{})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open = open
	return sync.OnceFunc(func() { close(open) })
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.count(1)
	defer u.count(-1)
	u.mu.Lock()
	open := u.open
	u.mu.Unlock()
	<-open
	u.Sandbox.ServeHTTP(w, r)
}

func (u *upstream) count(more int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inFlight += more
	u.most = max(u.most, u.inFlight)
}

func (u *upstream) nowInFlight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.inFlight
}

// mostInFlight is how many calls there have been at once.
func (u *upstream) mostInFlight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.most
}

// startBesieged runs quash serve with the given flags until the test ends, in front
// of a sandbox of its own.
func startBesieged(t *testing.T, secure bool, flags, environment []string) *besieged {
	t.Helper()
	s := &besieged{upstream: startUpstream(t)}
	argv := []string{
		"quash", "serve", "--upstream-url", s.upstream.url, "--upstream-api-key-file", write(t, sandbox.DefaultAPIKey),
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}
	if secure {
		certificate, key, clients := certify(t)
		argv = append(argv, "--tls-cert-file", certificate, "--tls-key-file", key)
		s.tls = clients
	}
	s.process = newProcess(append(argv, flags...))
	s.cmd.Env = slices.Concat(environment, []string{"GORACE=atexit_sleep_ms=0"})
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if err := new(scene).verdict(s.process); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the last that it logged:\n%s", tail(s.stderr.String()))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pattern := regexp.MustCompile(serving)
	addrs, err := s.stderr.await(ctx, pattern, s.ended)
	if err != nil {
		t.Fatalf("it does not serve: %v\n%s", err, s)
	}
	s.grpc, s.rest = addrs[pattern.SubexpIndex("GRPC")], addrs[pattern.SubexpIndex("HTTP")]
	return s
}

// certify makes a certificate for loopback, and returns its files and what its
// clients need.
func certify(t *testing.T) (certificate, key string, clients *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: der},
		key:         {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	clients = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	clients.RootCAs.AddCert(parsed)
	return certificate, key, clients
}

// memory is what /proc says of the process's: VmRSS, what it has now, or VmHWM,
// the most since forgetPeak. In bytes.
func (s *besieged) memory(t *testing.T, field string) int64 {
	t.Helper()
	status, err := os.ReadFile(s.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if name, value, _ := strings.Cut(string(line), ":"); name == field {
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kB << 10
		}
	}
	t.Fatalf("%s has no %s", s.proc("status"), field)
	return 0
}

// forgetPeak makes VmHWM begin anew.
func (s *besieged) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.proc("clear_refs"), []byte("5"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// descriptors is how many the process has open.
func (s *besieged) descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir(s.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func (s *besieged) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name)
}

func tail(text string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(lines[max(0, len(lines)-20):], "")
}
