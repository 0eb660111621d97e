package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service/server"
)

const serverName = "quash.example.org"

// authority issues the certificates of quash and of its callers.
type authority struct{ ca *pkitest.CA }

func newAuthority() authority { return authority{pkitest.NewCA("authority")} }

// serve gives a server a certificate, and has it demand one of clients.
func (a authority) serve(cfg *server.Config) {
	pair := a.ca.Issue(&x509.Certificate{DNSNames: []string{serverName}})
	cfg.TLS = &server.TLS{
		Certificate: func() *tls.Certificate { return &pair },
		ClientCAs:   func() *x509.CertPool { return pkitest.Pool(a.ca) },
	}
}

// write replaces the files of a client.
func (a authority) write(t *testing.T, files client.TLSFiles) {
	t.Helper()
	cert, key := pkitest.PEM(a.ca.Issue(&x509.Certificate{}))
	for path, text := range map[string][]byte{files.CAFile: a.ca.PEM(), files.CertFile: cert, files.KeyFile: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func tlsFiles(t *testing.T) client.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	return client.TLSFiles{
		CAFile:     filepath.Join(dir, "ca.crt"),
		CertFile:   filepath.Join(dir, "client.crt"),
		KeyFile:    filepath.Join(dir, "client.key"),
		ServerName: serverName,
	}
}

// Authority, certificates and keys are all replaced, on both sides, and the client goes
// on.
func TestTLSFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	files, first, second := tlsFiles(t), newAuthority(), newAuthority()
	first.write(t, files)
	before := quashtest.Start(t, first.serve)
	after := quashtest.InFrontOf(t, before.Sandbox, second.serve)
	var addr atomic.Value
	addr.Store(before.Addr)
	c, err := client.New("passthrough:///quash", client.WithTLS(files), client.WithDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr.Load().(string))
		}),
	))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: before.Mint()}, revoked)

	second.write(t, files)
	addr.Store(after.Addr)
	before.Stop()
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: before.Mint()}, revoked)
}

// While the files do not fit together, and after they are gone, the last ones hold.
func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	files, a := tlsFiles(t), newAuthority()
	a.write(t, files)
	quash := quashtest.Start(t, a.serve)
	_, otherKey := pkitest.PEM(a.ca.Issue(&x509.Certificate{}))
	for name, spoil := range map[string]func() error{
		"another key":   func() error { return os.WriteFile(files.KeyFile, otherKey, 0o600) },
		"nothing in it": func() error { return os.Truncate(files.CAFile, 0) },
		"gone":          func() error { return os.Remove(files.CertFile) },
	} {
		a.write(t, files)
		c, err := client.New(quash.Addr, client.WithTLS(files))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := spoil(); err != nil {
			t.Fatal(name, err)
		}
		mustRevoke(t, c, &quashv1.RevokeRequest{Token: quash.Mint()}, revoked)
	}
}

// Without TLS on the other side, or with an authority that is not trusted, nothing is
// sent.
func TestOnlyTrustedServersAreCalled(t *testing.T) {
	t.Parallel()
	files := tlsFiles(t)
	newAuthority().write(t, files)
	for name, tt := range map[string]struct {
		addr string
		opts []client.Option
	}{
		"plaintext":         {startFake(t, nil).addr, nil},
		"another authority": {quashtest.Start(t, newAuthority().serve).Addr, []client.Option{client.WithTLS(files)}},
	} {
		c, err := client.New(tt.addr, tt.opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if failure := mustFail(ctx, t, c, &quashv1.RevokeRequest{Token: "t"}); failure.State != notApplied {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// A caller that quash does not allow gets that answer, though it may not watch health
// either.
func TestCallersThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	files, ca := tlsFiles(t), newAuthority()
	ca.write(t, files)
	allowed, err := server.ParseAllowedCallers([]byte("billing.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	quash := quashtest.Start(t, ca.serve, func(cfg *server.Config) {
		cfg.AllowedCallers = func() server.AllowedCallers { return allowed }
	})
	c, err := client.New(quash.Addr, client.WithTLS(files))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	failure := mustFail(t.Context(), t, c, &quashv1.RevokeRequest{Token: quash.Mint()})
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED || failure.State != notApplied || failure.Retryable {
		t.Errorf("%+v", failure)
	}
}
