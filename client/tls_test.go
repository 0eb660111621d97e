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

// withTLS makes quash use a certificate of ca, and require one from its clients.
func withTLS(ca *pkitest.CA) func(*server.Config) {
	pair := ca.Issue(&x509.Certificate{DNSNames: []string{serverName}})
	return func(cfg *server.Config) {
		cfg.TLS = &server.TLS{
			Certificate: func() *tls.Certificate { return &pair },
			ClientCAs:   func() *x509.CertPool { return pkitest.Pool(ca) },
		}
	}
}

// writeFiles writes the files of a client, with certificates that ca issues.
func writeFiles(t *testing.T, files client.TLSFiles, ca *pkitest.CA) {
	t.Helper()
	cert, key := pkitest.PEM(ca.Issue(&x509.Certificate{}))
	for path, text := range map[string][]byte{files.CAFile: ca.PEM(), files.CertFile: cert, files.KeyFile: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newFiles(t *testing.T, ca *pkitest.CA) client.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	files := client.TLSFiles{
		CAFile:     filepath.Join(dir, "ca.crt"),
		CertFile:   filepath.Join(dir, "tls.crt"),
		KeyFile:    filepath.Join(dir, "tls.key"),
		ServerName: serverName,
	}
	writeFiles(t, files, ca)
	return files
}

// Authority, certificates and keys are replaced on both sides, and the client continues.
func TestTLSFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	first, second := pkitest.NewCA("first"), pkitest.NewCA("second")
	files := newFiles(t, first)
	before := quashtest.Start(t, withTLS(first))
	after := quashtest.InFrontOf(t, before.Sandbox, withTLS(second))
	var addr atomic.Value
	addr.Store(before.Addr)
	c := newClient(t, "passthrough:///quash", client.WithTLS(files), client.WithDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr.Load().(string))
		}),
	))
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: before.Mint()}, revoked)

	writeFiles(t, files, second)
	addr.Store(after.Addr)
	before.Stop()
	mustRevoke(t, c, &quashv1.RevokeRequest{Token: before.Mint()}, revoked)
}

// If the files do not match, or are removed, the client uses the last valid ones.
func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	quash := quashtest.Start(t, withTLS(ca))
	_, otherKey := pkitest.PEM(ca.Issue(&x509.Certificate{}))
	for name, spoil := range map[string]func(files client.TLSFiles) error{
		"another key":   func(files client.TLSFiles) error { return os.WriteFile(files.KeyFile, otherKey, 0o600) },
		"nothing in it": func(files client.TLSFiles) error { return os.Truncate(files.CAFile, 0) },
		"removed":       func(files client.TLSFiles) error { return os.Remove(files.CertFile) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := newFiles(t, ca)
			c := newClient(t, quash.Addr, client.WithTLS(files))
			if err := spoil(files); err != nil {
				t.Fatal(err)
			}
			mustRevoke(t, c, &quashv1.RevokeRequest{Token: quash.Mint()}, revoked)
		})
	}
}

// Nothing is sent to a peer without TLS, or with a certificate of an unknown authority.
func TestOnlyTrustedServersAreCalled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*client.Client{
		"plaintext": newClient(t, startFake(t, nil).addr),
		"another authority": newClient(t, quashtest.Start(t, withTLS(pkitest.NewCA("theirs"))).Addr,
			client.WithTLS(newFiles(t, pkitest.NewCA("ours")))),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if failure := mustFail(ctx, t, c, &quashv1.RevokeRequest{Token: "t"}); failure.State != notApplied {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// A caller that quash does not allow gets CALLER_NOT_ALLOWED, although its health stream is
// rejected, too.
func TestCallersThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	allowed, err := server.ParseAllowedCallers([]byte("billing.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	quash := quashtest.Start(t, withTLS(ca), func(cfg *server.Config) {
		cfg.AllowedCallers = func() server.AllowedCallers { return allowed }
	})
	c := newClient(t, quash.Addr, client.WithTLS(newFiles(t, ca)))
	failure := mustFail(t.Context(), t, c, &quashv1.RevokeRequest{Token: quash.Mint()})
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_CALLER_NOT_ALLOWED || failure.State != notApplied || failure.Retryable {
		t.Errorf("%+v", failure)
	}
}
