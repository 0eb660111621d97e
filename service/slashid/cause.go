package slashid

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// errWithheld stands in for an error whose text the peer may have had a hand in.
var errWithheld = errors.New("an error of HTTP's, such as a broken answer or a stream refused; its text is withheld, for it may repeat the request")

// publicCause is the part of an error of net/http's that holds nothing of what a
// peer sent once it had the request: net/http quotes a broken answer, and a peer
// can answer with what it got. Errors from below HTTP come from the operating
// system, or from TLS before there was a request.
func publicCause(err error) error {
	for _, known := range []func(error) error{
		is(errKeptBack), is(context.Canceled), is(context.DeadlineExceeded),
		as[*net.OpError], as[*net.DNSError], as[syscall.Errno],
		as[*tls.CertificateVerificationError], as[tls.AlertError], as[tls.RecordHeaderError],
		as[x509.UnknownAuthorityError], as[x509.HostnameError], as[x509.CertificateInvalidError],
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
