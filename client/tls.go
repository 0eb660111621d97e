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

// TLSFiles are the names of PEM files for TLS.
type TLSFiles struct {
	// CAFile contains the authorities that may issue quash's certificate. Empty means the
	// system's authorities.
	CAFile string
	// CertFile and KeyFile contain the client certificate and its key, if quash requires
	// one. Set both or neither.
	CertFile, KeyFile string
	// ServerName is the name that quash's certificate must have. Empty means the host of
	// the target.
	ServerName string
}

// load reads the files. Its errors do not quote their contents.
func (f TLSFiles) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CAFile != "" {
		text, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: contains no PEM certificate", f.CAFile)
		}
	}
	if (f.CertFile == "") != (f.KeyFile == "") {
		return nil, errors.New("CertFile and KeyFile must be set together")
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

// reloading are credentials that read their files for each handshake. Handshakes are rare
// enough that watching the files would gain nothing.
type reloading struct {
	credentials.TransportCredentials // for methods that do not depend on the files

	files TLSFiles

	mu   sync.Mutex
	last *tls.Config // from the last time that the files could be used
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

// current returns the configuration in the files, or the last valid one if they cannot be
// used: while the files are being replaced, certificate and key may not match.
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
