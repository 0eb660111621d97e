package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"
)

// TLS configures TLS for a listener. Every handshake calls Certificate and ClientCAs, so a
// reload applies to new connections; open connections stay.
type TLS struct {
	Certificate func() *tls.Certificate
	// ClientCAs returns the client CAs. A handshake without a certificate from one of them
	// fails. If ClientCAs is nil, clients are not asked for a certificate.
	ClientCAs func() *x509.CertPool
	// MinVersion is a version constant of crypto/tls; 0 means TLS 1.3.
	MinVersion uint16
}

// suites are the cipher suites for TLS 1.2: only those with forward secrecy and
// authenticated encryption, which HTTP/2 requires. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// config returns the crypto/tls configuration for a listener with these ALPN protocols.
func (t *TLS) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: t.minVersion(),
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cfg := &tls.Config{
				Certificates: []tls.Certificate{*t.Certificate()},
				MinVersion:   t.minVersion(),
				CipherSuites: suites,
				NextProtos:   protocols,
				// Resuming a session skips the check of the client certificate, even if its
				// CA has been removed in the meantime.
				SessionTicketsDisabled: true,
			}
			if t.ClientCAs != nil {
				cfg.ClientAuth = tls.RequireAndVerifyClientCert
				cfg.ClientCAs = t.ClientCAs()
			}
			return cfg, nil
		},
	}
}

func (t *TLS) minVersion() uint16 {
	if t.MinVersion == 0 {
		return tls.VersionTLS13
	}
	return t.MinVersion
}

// grpcCredentials returns credentials that log failed handshakes. grpc-go itself reports
// them only to its internal log.
func (t *TLS) grpcCredentials(logger *slog.Logger) credentials.TransportCredentials {
	return loggedCredentials{credentials.NewTLS(t.config("h2")), logger}
}

type loggedCredentials struct {
	credentials.TransportCredentials

	logger *slog.Logger
}

func (c loggedCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		logHandshake(c.logger, conn.RemoteAddr().String(), err.Error())
	}
	return secure, info, err
}

func (c loggedCredentials) Clone() credentials.TransportCredentials {
	return loggedCredentials{c.TransportCredentials.Clone(), c.logger}
}

// serveHTTP serves TLS, or plaintext if t is nil.
func (t *TLS) serveHTTP(s *http.Server, l net.Listener) error {
	if t == nil {
		return s.Serve(l)
	}
	s.TLSConfig = t.config("h2", "http/1.1")
	return s.ServeTLS(l, "", "")
}
