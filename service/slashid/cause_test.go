package slashid_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/http2"

	"github.com/quashdev/quash/service/slashid"
)

const apiKey = "an-api-key-of-the-organisation"

// aRequestWithCredentials is aRequest with more that is secret.
func aRequestWithCredentials() slashid.Request {
	req := aRequest()
	req.Credentials.APIKey = slashid.NewSecret(apiKey)
	req.Credentials.Authorization = slashid.NewSecret("Bearer " + token)
	return req
}

// checkTellsNothing checks that a result, however it is printed, holds no secret.
func checkTellsNothing(t *testing.T, got slashid.Result) {
	t.Helper()
	for _, text := range []string{fmt.Sprint(got.Err), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got.Err)} {
		if tellsToken(text) || strings.Contains(text, apiKey) {
			t.Errorf("a secret is told in %q", text)
		}
	}
}

// brokenAnswers are answers that net/http cannot read and quotes in its errors;
// SECRET stands for what the peer sends back of the request.
var brokenAnswers = []string{
	"SECRET\n\n",
	"HTTP/1.1 SECRET\n\n",
	"HTTP/1.1 SECRET \n\n",
	"HTTP/SECRET 204 No Content\n\n",
	"HTTP/1.1 2SECRET04 No Content\n\n",
	"HTTP/1.1 200 OK\nSECRET\n\n",
	"HTTP/1.1 200 OK\n: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: SECRET\n\n",
	"HTTP/1.1 200 OK\nTransfer-Encoding: SECRET\n\n",
}

// A peer that answers with what it received finds none of it in an error's text.
func TestCauseHoldsNothingOfABrokenAnswer(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		token, tokenHeader, tokenClaims, tokenSignature, apiKey, "Bearer " + token, `{"token":"` + token + `"}`,
	} {
		for _, broken := range brokenAnswers {
			client, _ := newPeer(t, func(c *peerConn) {
				c.readRequest()
				c.answer(strings.ReplaceAll(broken, "SECRET", secret))
			})
			got := revoke(t, client, aRequestWithCredentials())
			checkNoAnswer(t, got, true)
			checkTellsNothing(t, got)
		}
	}
}

func TestCauseHoldsNothingOfABrokenAnswerOverHTTP2(t *testing.T) {
	inBubbles(t, map[string]func(c *http2Conn, stream uint32){
		"a reason to go away": func(c *http2Conn, stream uint32) {
			_ = c.aside().WriteGoAway(stream, http2.ErrCodeInternal, []byte(token))
		},
		"a status":             func(c *http2Conn, stream uint32) { c.head(stream, true, ":status", token) },
		"a field's name":       func(c *http2Conn, stream uint32) { c.head(stream, true, ":status", "204", token, "x") },
		"a field's value":      func(c *http2Conn, stream uint32) { c.head(stream, true, ":status", "204", "x", token+"\x00") },
		"a pseudo-header":      func(c *http2Conn, stream uint32) { c.head(stream, true, ":status", "204", ":"+token, "x") },
		"what is not HTTP/2":   func(c *http2Conn, _ uint32) { c.peerConn.answer(token) },
		"a frame that is none": func(c *http2Conn, _ uint32) { _ = c.aside().WriteRawFrame(http2.FramePing, 0, 0, []byte(token)) },
	}, func(t *testing.T, answer func(c *http2Conn, stream uint32)) {
		client, _ := newHTTP2Peer(t, func(c *http2Conn) {
			stream, _ := c.readRequest()
			answer(c, stream)
		})
		got := revoke(t, client, aRequestWithCredentials())
		checkNoAnswer(t, got, true)
		checkTellsNothing(t, got)
	})
}

// What a peer had no hand in is shown, because operators need it. A certificate is
// shown before there is a request, but perhaps not before the last one: what stands in
// it is not told.
func TestCauseOfADialThatFails(t *testing.T) {
	t.Parallel()
	expired := "current time 2026-11-23T00:00:00Z is after 2026-11-22T00:00:00Z"
	certificate := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for want, err := range map[string]error{
		"lookup slashid.invalid: no such host": &net.DNSError{Err: "no such host", Name: "slashid.invalid", IsNotFound: true},
		"dial tcp: connection refused":         &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
		"x509: the certificate is for other names than slashid.test": certificate(x509.HostnameError{
			Certificate: &x509.Certificate{DNSNames: []string{token}}, Host: "slashid.test",
		}),
		"x509: certificate signed by unknown authority": certificate(x509.UnknownAuthorityError{
			Cert: &x509.Certificate{Subject: pkix.Name{CommonName: token}},
		}),
		"x509: a root or intermediate certificate is not authorized to sign for this name: see the certificate": certificate(x509.CertificateInvalidError{
			Reason: x509.CANotAuthorizedForThisName, Detail: token,
		}),
		"x509: certificate has expired or is not yet valid: " + expired: certificate(x509.CertificateInvalidError{
			Cert: &x509.Certificate{DNSNames: []string{token}}, Reason: x509.Expired, Detail: expired,
		}),
		"tls: the certificate cannot be verified": certificate(errors.New(token)),
	} {
		client := newClient(t, "http://slashid.test")
		client.DialThrough(func(context.Context, string, string) (net.Conn, error) { return nil, err })
		got := revoke(t, client, aRequest())
		checkNoAnswer(t, got, false)
		checkTellsNothing(t, got)
		if got.Err.Error() != want {
			t.Errorf("the cause is %q, want %q", got.Err, want)
		}
	}
}

// Where HTTP answers instead of TLS, that is the cause.
func TestCauseWhereThereIsNoTLS(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://slashid.test")
	connectPeer(t, client, func(c *peerConn) {
		_, _ = c.reader.Peek(1)
		c.answer("HTTP/1.1 400 " + token + "\n\n")
	})
	got := revoke(t, client, aRequest())
	checkNoAnswer(t, got, false)
	checkTellsNothing(t, got)
	if want := "tls: first record does not look like a TLS handshake"; got.Err.Error() != want {
		t.Errorf("the cause is %q, want %q", got.Err, want)
	}
}
