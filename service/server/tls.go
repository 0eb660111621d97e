package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"
)

// TLS is a listener's certificate, and which clients it accepts. Every handshake asks for
// both anew: what is replaced holds for the next connection, and open ones stay.
type TLS struct {
	Certificate func() *tls.Certificate
	// ClientCAs are the authorities of clients: the handshake fails without a certificate
	// of one of them. If it is nil, no certificate is asked for.
	ClientCAs func() *x509.CertPool
	// MinVersion is that of crypto/tls; 0 means TLS 1.3.
	MinVersion uint16
}

// suites are what TLS 1.2 may choose from: forward secrecy and authenticated
// encryption, as HTTP/2 demands. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// config is for a listener that speaks the given protocols, as ALPN names them.
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
				// A resumed session would be accepted although its authority may have
				// been dropped since.
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

// grpcCredentials are for the gRPC server, which logs failed handshakes nowhere but in
// its own log.
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

// serveHTTP serves plaintext where t is nil.
func (t *TLS) serveHTTP(s *http.Server, l net.Listener) error {
	if t == nil {
		return s.Serve(l)
	}
	s.TLSConfig = t.config("h2", "http/1.1")
	return s.ServeTLS(l, "", "")
}
