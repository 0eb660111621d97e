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

	"google.golang.org/grpc"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service/server"
)

const serverName = "quash.example.org"

// authority is who vouches for quash and for its callers, until it is replaced.
type authority struct{ ca *pkitest.CA }

func newAuthority() authority { return authority{pkitest.NewCA("authority")} }

// serve has a server prove itself, and demand of clients that they do.
func (a authority) serve(cfg *server.Config) {
	pair := a.ca.Issue(&x509.Certificate{DNSNames: []string{serverName}})
	cfg.TLS = &server.TLS{
		Certificate: func() *tls.Certificate { return &pair },
		ClientCAs:   func() *x509.CertPool { return pkitest.Pool(a.ca) },
	}
}

// write replaces what a client needs.
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
	for name, spoil := range map[string]func() error{
		"another key": func() error {
			_, key := pkitest.PEM(a.ca.Issue(&x509.Certificate{}))
			return os.WriteFile(files.KeyFile, key, 0o600)
		},
		"nothing in it": func() error { return os.Truncate(files.CAFile, 0) },
		"gone":          func() error { return os.Remove(files.CertFile) },
	} {
		a.write(t, files)
		c, err := client.New(quashtest.Start(t, a.serve).Addr, client.WithTLS(files))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if failure := mustFail(t, c, &quashv1.RevokeRequest{Token: "none"}); failure.UpstreamStatus != 400 {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// Nothing goes out in plaintext that nobody asked for.
func TestTLSByDefault(t *testing.T) {
	t.Parallel()
	c, err := client.New(startFake(t).addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if failure := failWithin(t, c); failure.State != notApplied {
		t.Errorf("%+v", failure)
	}
}

func TestStrangersAreNotTalkedTo(t *testing.T) {
	t.Parallel()
	files := tlsFiles(t)
	newAuthority().write(t, files)
	c, err := client.New(quashtest.Start(t, newAuthority().serve).Addr, client.WithTLS(files))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if failure := failWithin(t, c); failure.State != notApplied {
		t.Errorf("%+v", failure)
	}
}

// Who may not call is told so, though health is not for them to watch either.
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
	failure := mustFail(t, c, &quashv1.RevokeRequest{Token: quash.Mint()})
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED || failure.State != notApplied || failure.Retryable {
		t.Errorf("%+v", failure)
	}
}
