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

// errHTTP replaces an error whose text may come from the peer.
var errHTTP = errors.New("an HTTP error, such as a broken answer or a refused stream; its text is left out, because it may repeat the request")

// constantTexts are errors of net/http that have no type of their own, and always the
// same text.
var constantTexts = []string{
	"http: server closed idle connection",
	"http2: client connection lost", // no answer to a ping
	"http2: client connection force closed via ClientConn.Close",
	"http2: Transport received Server's graceful shutdown GOAWAY",
	"net/http: TLS handshake timeout",
}

// fault is an error in words of this package's own, which may be shown.
type fault string

func (f fault) Error() string { return string(f) }

// publicCause is the part of an error that holds nothing a peer has sent. net/http quotes
// broken answers, and a peer can answer with what it received, or put it into a
// certificate for the next connection. Errors from below HTTP come from the operating
// system, or are TLS's own words.
func publicCause(err error) error {
	if proxy, ok := errors.AsType[*net.OpError](err); ok && proxy.Op == "proxyconnect" {
		return fmt.Errorf("connect to the proxy: %w", publicCause(proxy.Err))
	}
	for _, known := range []func(error) error{
		as[fault], is(context.Canceled), is(context.DeadlineExceeded),
		certificateCause,
		as[*net.OpError], as[*net.DNSError], as[syscall.Errno],
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

// certificateCause is what is wrong with a peer's certificate, without the names
// that stand in it.
func certificateCause(err error) error {
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("x509: the certificate is for other names than %s", wrong.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return x509.UnknownAuthorityError{} // its hint is such a name
	}
	if wrong, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if wrong.Reason != x509.Expired { // whose detail is times
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
