// Package testbed runs quash as a process in front of a sandbox of SlashID in this one.
package testbed

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/sandbox"
)

// Quash is a quash serve that runs. Kill, or Stop, must be called.
type Quash struct {
	*proctest.Process
	proctest.Addrs

	Binary  string
	LogPath string
}

// Start builds quash into the folder tmp and starts it in front of an upstream, with an
// environment of variables as NAME=VALUE. Its log goes to the file logPath.
func Start(ctx context.Context, tmp, logPath string, u *Upstream, environment ...string) (*Quash, error) {
	binary, err := proctest.Build(ctx, tmp)
	if err != nil {
		return nil, err
	}
	ca, key := filepath.Join(tmp, "ca.pem"), filepath.Join(tmp, "api-key")
	err = errors.Join(
		os.WriteFile(ca, u.authority, 0o600),
		os.WriteFile(key, []byte(sandbox.DefaultAPIKey), 0o600),
		os.MkdirAll(filepath.Dir(logPath), 0o755), //nolint:gosec // holds no secret
	)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	// Not bound to ctx: an interrupted run ends its load first.
	cmd := exec.Command(binary, "serve", //nolint:gosec,noctx // the program that was just built
		"--upstream-url", u.URL(), "--upstream-ca-file", ca, "--upstream-api-key-file", key,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--reflection", "--drain-delay", "0s")
	cmd.Env, cmd.Stderr = environment, log
	p, err := proctest.Start(cmd)
	if err != nil {
		return nil, err
	}
	addrs, err := p.Addrs()
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &Quash{p, addrs, binary, logPath}, nil
}

// Stop ends quash in order.
func (q *Quash) Stop() error {
	if q.Process.Stop() != nil { // the text of the error would be the whole log
		return fmt.Errorf("quash was idle, but did not stop in order; see %s", q.LogPath)
	}
	return nil
}

// Upstream is a sandbox behind a TLS listener that can go away, and come back at the same
// address.
type Upstream struct {
	*sandbox.Sandbox

	// HTTP2 is what Up makes it speak, or else HTTP/1.1.
	HTTP2 bool

	addr        string
	certificate tls.Certificate
	authority   []byte // PEM
	stop        func()
}

// NewUpstream returns an upstream that is up. Close must be called.
func NewUpstream(ctx context.Context, config sandbox.Config) (*Upstream, error) {
	s, err := sandbox.New(config)
	if err != nil {
		return nil, err
	}
	// An address that no other program uses: while the upstream is down, nothing else may
	// take its port.
	ip := net.IP{127, 1, 0, 0}
	_, _ = rand.Read(ip[2:])
	ca := pkitest.NewCA("upstream")
	u := &Upstream{
		Sandbox: s, addr: net.JoinHostPort(ip.String(), "0"), authority: ca.PEM(),
		certificate: ca.Issue(&x509.Certificate{IPAddresses: []net.IP{ip}, NotAfter: time.Now().AddDate(1, 0, 0)}),
	}
	return u, u.Up(ctx)
}

// URL is its base URL.
func (u *Upstream) URL() string { return "https://" + u.addr }

// Up begins to serve.
func (u *Upstream) Up(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", u.addr)
	if err != nil {
		return fmt.Errorf("listen for the upstream: %w", err)
	}
	u.addr = listener.Addr().String()
	server := &http.Server{Handler: u.Sandbox, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(!u.HTTP2)
	server.Protocols.SetHTTP2(u.HTTP2)
	u.stop = Serve(listener, server, &u.certificate)
	return nil
}

// Down closes the listener and every connection.
func (u *Upstream) Down() { u.stop() }

// Close ends the upstream and its sandbox.
func (u *Upstream) Close() {
	u.Sandbox.Close() // and what it delays
	u.Down()
}

// Serve serves, over TLS if there is a certificate, until stop is called.
func Serve(listener net.Listener, server *http.Server, certificate *tls.Certificate) (stop func()) {
	server.ReadHeaderTimeout = time.Minute
	server.ErrorLog = log.New(io.Discard, "", 0) // of connections that the peer gives up
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if certificate != nil {
			server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate}}
			_ = server.ServeTLS(listener, "", "")
			return
		}
		_ = server.Serve(listener) // always an error: that it is closed
	}()
	return func() {
		_ = server.Close()
		<-ended
	}
}
