package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// errWithheld stands in for an error whose text the peer may have had a hand in.
var errWithheld = errors.New("an error of HTTP's, such as a broken answer or a stream refused; its text is withheld, for it may repeat the request")

// fault is an error in words of this package's own, which may be shown.
type fault string

func (f fault) Error() string { return string(f) }

// publicCause is the part of an error that holds nothing of what a peer sent: net/http,
// which reads HTTP/1.1, and x/net quote a broken answer, and a peer can answer with what it
// got, or put it into a certificate for the next connection. Errors from below HTTP
// come from the operating system, or are TLS's own words.
func publicCause(err error) error {
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
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return timeout
	}
	return errWithheld
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
		if wrong.Reason != x509.Expired { // which tells times
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
