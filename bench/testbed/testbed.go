// Package testbed runs quash as a process, in front of a sandbox of SlashID in the current
// process.
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
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/sandbox"
)

// Testbed is a running quash serve and its upstream: a sandbox behind a TLS listener that can be
// stopped and started again at the same address.
type Testbed struct {
	*sandbox.Sandbox

	Quash *proctest.Process
	proctest.Addrs

	Binary string // path of quash
	Log    string // path of quash's log
	Tmp    string // a directory for files with tokens; Close removes it

	// HTTP2 makes the upstream use HTTP/2 instead of HTTP/1.1 after the next Up.
	HTTP2 bool

	upstream    string // host:port
	certificate tls.Certificate
	down        func()
}

// Start starts a sandbox and quash. binary is the path of quash; if it is empty, Start builds quash.
// environment has variables as NAME=VALUE. The caller must call Close.
func Start(ctx context.Context, binary string, config sandbox.Config, logPath string, environment ...string) (_ *Testbed, err error) {
	t := &Testbed{Binary: binary, Log: logPath, down: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if t.Tmp, err = os.MkdirTemp("", "quash-bench-"); err != nil {
		return nil, err
	}
	if t.Sandbox, err = sandbox.New(config); err != nil {
		return nil, err
	}
	// A random loopback address, so that no other program takes the port while the upstream
	// is down.
	ip := net.IP{127, 1, 0, 0}
	_, _ = rand.Read(ip[2:])
	ca := pkitest.NewCA("upstream")
	t.certificate = ca.Issue(&x509.Certificate{IPAddresses: []net.IP{ip}, NotAfter: time.Now().AddDate(1, 0, 0)})
	t.upstream = net.JoinHostPort(ip.String(), "0")
	if err := t.Up(ctx); err != nil {
		return nil, err
	}
	return t, t.startQuash(ctx, ca.PEM(), environment)
}

func (t *Testbed) startQuash(ctx context.Context, authority []byte, environment []string) (err error) {
	if t.Binary == "" {
		if t.Binary, err = proctest.Build(ctx, t.Tmp); err != nil {
			return err
		}
	}
	ca, key := filepath.Join(t.Tmp, "ca.pem"), filepath.Join(t.Tmp, "api-key")
	if err := errors.Join(
		os.WriteFile(ca, authority, 0o600),
		os.WriteFile(key, []byte(sandbox.DefaultAPIKey), 0o600),
		os.MkdirAll(filepath.Dir(t.Log), 0o755), //nolint:gosec // holds no secret
	); err != nil {
		return err
	}
	log, err := os.Create(t.Log)
	if err != nil {
		return err
	}
	// Not bound to ctx: an interrupted run ends its load before it stops quash.
	cmd := exec.Command(t.Binary, "serve", //nolint:gosec,noctx // the program to test
		"--upstream-url", t.URL(), "--upstream-ca-file", ca, "--upstream-api-key-file", key,
		"--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--reflection", "--drain-delay", "0s")
	cmd.Env, cmd.Stderr = environment, log
	if t.Quash, err = proctest.Start(cmd); err != nil {
		return err
	}
	t.Addrs, err = t.Quash.Addrs()
	return err
}

// StopQuash shuts quash down gracefully.
func (t *Testbed) StopQuash() error {
	if t.Quash.Stop() != nil { // the error contains the whole log
		return fmt.Errorf("quash did not shut down gracefully although it was idle; see %s", t.Log)
	}
	return nil
}

// Close stops quash and the sandbox, and removes Tmp.
func (t *Testbed) Close() error {
	if t.Quash != nil {
		t.Quash.Kill()
	}
	if t.Sandbox != nil {
		t.Sandbox.Close() // also ends delayed calls
	}
	t.down()
	return os.RemoveAll(t.Tmp)
}

// URL is the base URL of the upstream.
func (t *Testbed) URL() string { return "https://" + t.upstream }

// Up starts the upstream.
func (t *Testbed) Up(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", t.upstream)
	if err != nil {
		return fmt.Errorf("listen for the upstream: %w", err)
	}
	t.upstream = listener.Addr().String()
	server := &http.Server{Handler: t.Sandbox, Protocols: new(http.Protocols)} //nolint:gosec // Serve sets the timeout
	server.Protocols.SetHTTP1(!t.HTTP2)
	server.Protocols.SetHTTP2(t.HTTP2)
	t.down = Serve(listener, server, &t.certificate)
	return nil
}

// Down closes the upstream's listener and every connection.
func (t *Testbed) Down() { t.down() }

// Dead reports whether a token is dead in any region, and whether it is in all.
func (t *Testbed) Dead(token string) (anywhere, everywhere bool, err error) {
	regions, err := t.Revoked(token)
	if err != nil {
		return false, false, fmt.Errorf("ask the sandbox whether a token is dead: %w", err)
	}
	dead := slices.Collect(maps.Values(regions))
	return slices.Contains(dead, true), !slices.Contains(dead, false), nil
}

// Serve runs server until stop is called, over TLS if certificate is not nil.
func Serve(listener net.Listener, server *http.Server, certificate *tls.Certificate) (stop func()) {
	server.ReadHeaderTimeout = time.Minute
	server.ErrorLog = log.New(io.Discard, "", 0) // errors of connections that the peer closes
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if certificate != nil {
			server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate}}
			_ = server.ServeTLS(listener, "", "")
			return
		}
		_ = server.Serve(listener) // returns http.ErrServerClosed after stop
	}()
	return func() {
		_ = server.Close()
		<-ended
	}
}
