package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
)

// errHTTP replaces an error with a text that may come from the peer.
var errHTTP = errors.New("HTTP error, for example a malformed response or a refused stream; its text is suppressed, because it may contain the token")

// constantTexts are the texts of errors of net/http that have no type of their own. They
// contain nothing from the peer.
var constantTexts = []string{
	"http: server closed idle connection",
	"http2: client connection lost", // the peer did not answer a ping
	"http2: client connection force closed via ClientConn.Close",
	"http2: Transport received Server's graceful shutdown GOAWAY",
	"net/http: TLS handshake timeout",
}

// fault is an error with a constant text of this package, which is safe to log.
type fault string

func (f fault) Error() string { return string(f) }

// publicCause returns the part of an error that contains nothing from the peer, so that it
// is safe to log. net/http quotes malformed responses, and a peer can send back what it
// received: in a response, or in the certificate for the next connection. Errors from below
// HTTP have texts of the operating system or of crypto/tls.
func publicCause(err error) error {
	if proxy, ok := errors.AsType[*net.OpError](err); ok && proxy.Op == "proxyconnect" {
		return fmt.Errorf("connect to the proxy: %w", publicCause(proxy.Err))
	}
	for _, known := range []func(error) error{
		as[fault], is(context.Canceled),
		certificateCause,
		as[*net.OpError], as[*net.DNSError], as[syscall.Errno], // with an address or a name
		is(context.DeadlineExceeded),
		as[tls.AlertError], as[tls.RecordHeaderError],
		is(io.ErrUnexpectedEOF), is(io.EOF),
	} {
		if cause := known(err); cause != nil {
			return cause
		}
	}
	if text := err.Error(); slices.Contains(constantTexts, text) {
		return errors.New(text)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return timeout
	}
	return errHTTP
}

// certificateCause returns what is wrong with a peer's certificate, without the names in
// the certificate, which the peer chooses.
func certificateCause(err error) error {
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("x509: the certificate is not valid for %s", wrong.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return x509.UnknownAuthorityError{} // its hint contains such a name
	}
	if wrong, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if wrong.Reason != x509.Expired { // the detail of Expired contains only times
			wrong.Detail = "see the certificate"
		}
		return x509.CertificateInvalidError{Reason: wrong.Reason, Detail: wrong.Detail}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("tls: the certificate cannot be verified")
	}
	return nil
}

func is(target error) func(error) error {
	return func(err error) error {
		if errors.Is(err, target) {
			return target
		}
		return nil
	}
}

func as[E error](err error) error {
	if cause, ok := errors.AsType[E](err); ok {
		return cause
	}
	return nil
}
