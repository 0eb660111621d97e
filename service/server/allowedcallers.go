package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/quashdev/quash/service"
)

// AllowedCallers is the list of identities that may call. The zero value allows no caller.
type AllowedCallers struct {
	exact    map[string]bool
	prefixes []string
}

// ParseAllowedCallers parses a list with one identity per line: a SPIFFE ID, another URI or
// a DNS name, as in the subject alternative names of a client certificate. A * at the end
// of an identity matches any rest. A # at the start of a line or after a space or tab starts
// a comment. A list without an identity is an error.
func ParseAllowedCallers(content []byte) (AllowedCallers, error) {
	allowed := AllowedCallers{exact: map[string]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := withoutComment(lines.Text())
		if line == "" {
			continue
		}
		prefix, isPrefix := strings.CutSuffix(line, "*")
		if problem := problemOf(prefix, isPrefix); problem != "" {
			return AllowedCallers{}, fmt.Errorf("line %d %s", n, problem)
		}
		if isPrefix {
			allowed.prefixes = append(allowed.prefixes, fold(prefix))
		} else {
			allowed.exact[fold(line)] = true
		}
	}
	switch {
	case lines.Err() != nil:
		return AllowedCallers{}, fmt.Errorf("cannot read the list: %w", lines.Err())
	case len(allowed.exact)+len(allowed.prefixes) == 0:
		return AllowedCallers{}, errors.New("the list has no identity, so every call would be rejected; write one identity per line, or remove the flag")
	}
	return allowed, nil
}

func withoutComment(line string) string {
	for i := range line {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

// problemOf returns why text is not a valid identity or, if isPrefix is set, not a valid
// beginning of one. It returns "" if text is valid.
func problemOf(text string, isPrefix bool) string {
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must be one identity in printable ASCII"
	case strings.Contains(text, "*"):
		return "has a * that is not its last character"
	case isPrefix, isDNSName(text):
		return ""
	}
	if u, err := url.Parse(text); err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" {
		return "is neither a URI such as spiffe://example.org/billing nor a DNS name"
	}
	return ""
}

func isDNSName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return false
		}
		return true
	})
}

// fold lowers the case-insensitive parts of an identity: a DNS name, or the scheme and host
// of a URI.
func fold(identity string) string {
	scheme, rest, isURI := strings.Cut(identity, ":")
	if !isURI {
		return strings.ToLower(identity)
	}
	authority := ""
	if strings.HasPrefix(rest, "//") {
		authority = rest
		if end := strings.IndexAny(rest[2:], "/?#"); end >= 0 {
			authority = rest[:2+end]
		}
	}
	user := authority[:strings.LastIndex(authority, "@")+1]
	return strings.ToLower(scheme) + ":" + user + strings.ToLower(authority[len(user):]) + rest[len(authority):]
}

// identitiesOf returns the URIs and DNS names of a certificate. It ignores the common name,
// and names that could be confused: DNS names that look like a URI, and URIs without a
// scheme, which look like a DNS name.
func identitiesOf(cert *x509.Certificate) []string {
	var identities []string
	for _, uri := range cert.URIs {
		if uri.IsAbs() {
			identities = append(identities, fold(uri.String()))
		}
	}
	for _, name := range cert.DNSNames {
		if isDNSName(name) {
			identities = append(identities, fold(name))
		}
	}
	return identities
}

func (a AllowedCallers) allow(identity string) bool {
	return a.exact[identity] || slices.ContainsFunc(a.prefixes, func(prefix string) bool {
		return strings.HasPrefix(identity, prefix)
	})
}

// admit returns an error if the caller is not on the list.
func (a AllowedCallers) admit(ctx context.Context) error {
	cert := callerCertificate(ctx)
	if cert == nil || time.Now().After(cert.NotAfter) {
		return service.CallerNotAllowed(errors.New("no valid client certificate"))
	}
	identities := identitiesOf(cert)
	if slices.ContainsFunc(identities, a.allow) {
		return nil
	}
	return service.CallerNotAllowed(fmt.Errorf("client certificate is not on the list: it has %s", abridged(identities)))
}

// abridged formats identities for the log, at most three. The client chooses them: quoting
// prevents forged log lines.
func abridged(identities []string) string {
	const most = 3
	switch n := len(identities); {
	case n == 0:
		return "no URI and no DNS name"
	case n > most:
		return fmt.Sprintf("%q and %d more", identities[:most], n-most)
	}
	return fmt.Sprintf("%q", identities)
}

// onlyAllowed rejects calls of clients that are not on the list. It gets the current list for
// each call, so removing a client takes effect on open connections too.
func onlyAllowed(list func() AllowedCallers) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if err := list().admit(ctx); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// onlyAllowedStreams rejects health and reflection streams of clients that are not on the
// list. It checks when a stream starts.
func onlyAllowedStreams(list func() AllowedCallers, logger *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if err := list().admit(stream.Context()); err != nil {
			logger.Info("stream rejected", "cause", errors.Unwrap(err).Error())
			return err
		}
		return handler(srv, stream)
	}
}

// callerCertificate returns the client certificate that the TLS handshake verified, or nil.
func callerCertificate(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}

// withCaller stores the client of a REST request in the context, as a gRPC peer. It uses
// only the connection: headers must not decide who the caller is.
func withCaller(ctx context.Context, r *http.Request) context.Context {
	caller := &peer.Peer{Addr: remoteAddr(r.RemoteAddr)}
	if r.TLS != nil {
		caller.AuthInfo = credentials.TLSInfo{State: *r.TLS}
	}
	return peer.NewContext(ctx, caller)
}

// remoteAddr makes the address string of an http.Request a net.Addr.
type remoteAddr string

func (remoteAddr) Network() string { return "tcp" }

func (a remoteAddr) String() string { return string(a) }
