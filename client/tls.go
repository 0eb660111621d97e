package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc/credentials"
)

// TLSFiles are the certificates and the key for TLS, as files in PEM.
type TLSFiles struct {
	// CAFile has the authorities that vouch for quash. Empty means those that the
	// system trusts.
	CAFile string
	// CertFile and KeyFile are the certificate of the client and its key, where quash
	// demands one; both or neither.
	CertFile, KeyFile string
	// ServerName is what quash's certificate must be for. Empty means the host of the
	// target.
	ServerName string
}

// load reads the files. Its errors quote nothing of them.
func (f TLSFiles) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CAFile != "" {
		text, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in it", f.CAFile)
		}
	}
	if (f.CertFile == "") != (f.KeyFile == "") {
		return nil, errors.New("a certificate goes with a key")
	}
	if f.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.CertFile, f.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// reloading are credentials that read their files for each handshake. Handshakes are
// rare, so the files need no watching.
type reloading struct {
	credentials.TransportCredentials // for what does not depend on the files

	files TLSFiles

	mu   sync.Mutex
	last *tls.Config // of the last time that the files could be used
}

func newReloading(files TLSFiles) (*reloading, error) {
	cfg, err := files.load()
	if err != nil {
		return nil, err
	}
	return &reloading{TransportCredentials: credentials.NewTLS(cfg), files: files, last: cfg}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (r *reloading) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(r.current()).ClientHandshake(ctx, authority, conn)
}

// current is what is in the files. They cannot all be replaced at once: what does not
// fit together yet is left alone.
func (r *reloading) current() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cfg, err := r.files.load(); err == nil {
		r.last = cfg
	}
	return r.last
}

// Clone implements credentials.TransportCredentials.
func (r *reloading) Clone() credentials.TransportCredentials {
	return &reloading{TransportCredentials: r.TransportCredentials.Clone(), files: r.files, last: r.current()}
}
