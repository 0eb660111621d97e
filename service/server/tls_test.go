package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

const billing = "spiffe://example.org/billing"

// The answers for allowed and rejected callers.
var (
	served      = quashtest.Revoked
	refused     = quashtest.Failure("PERMISSION_DENIED", "CALLER_NOT_ALLOWED", "NOT_APPLIED", 403, 403)
	noHandshake = quashtest.Answers{quashtest.GRPC: "UNAVAILABLE  "} // and an error over REST
)

// lineLog is a log whose lines a test can wait for.
type lineLog chan string

func (l lineLog) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// await skips to a line that matches the pattern.
func (l lineLog) await(t *testing.T, pattern string) {
	t.Helper()
	matches := regexp.MustCompile(pattern).MatchString
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		select {
		case line := <-l:
			if matches(line) {
				return
			}
		case <-ctx.Done():
			t.Errorf("no log line matches %q", pattern)
			return
		}
	}
}

func allowedCallers(t *testing.T, list string) func() server.AllowedCallers {
	t.Helper()
	allowed, err := server.ParseAllowedCallers([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	return func() server.AllowedCallers { return allowed }
}

func newServerCertificate(ca *pkitest.CA) *tls.Certificate {
	return new(ca.Issue(&x509.Certificate{DNSNames: []string{"audit.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
}

func withURI(ca *pkitest.CA, uri string) *tls.Certificate {
	return new(ca.Issue(&x509.Certificate{URIs: pkitest.URIs(uri)}))
}

// caller is a client with one connection per transport.
type caller struct {
	// http1 and http2 have the same connection for gRPC. http2 is nil in plaintext.
	http1, http2 *quashtest.Quash
	// claims are sent as headers or as metadata.
	claims map[string]string
	dials  atomic.Int32
}

// newCaller returns a caller that sends cert even if the server does not accept its CA. If
// roots is nil, the caller uses plaintext.
func newCaller(t *testing.T, f *facade, roots *x509.CertPool, cert *tls.Certificate, change func(*tls.Config)) *caller {
	t.Helper()
	c := &caller{}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		c.dials.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	cfg := &tls.Config{RootCAs: roots}
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	if change != nil {
		change(cfg)
	}
	url, creds := f.URL, insecure.NewCredentials()
	if roots != nil {
		url, creds = strings.Replace(f.URL, "http:", "https:", 1), credentials.NewTLS(cfg)
	}
	conn, err := grpc.NewClient(f.Addr, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	over := func(use func(*http.Protocols, bool)) *quashtest.Quash {
		transport := &http.Transport{DialContext: dial, Protocols: new(http.Protocols), TLSClientConfig: cfg.Clone()}
		use(transport.Protocols, true)
		t.Cleanup(transport.CloseIdleConnections)
		return &quashtest.Quash{URL: url, Conn: conn, HTTP: &http.Client{Transport: claiming{c, transport}}}
	}
	c.http1 = over((*http.Protocols).SetHTTP1)
	if roots != nil {
		c.http2 = over((*http.Protocols).SetHTTP2)
	}
	return c
}

// claiming adds the claims of a caller to its requests.
type claiming struct {
	*caller
	*http.Transport
}

func (c claiming) RoundTrip(req *http.Request) (*http.Response, error) {
	for name, value := range c.claims {
		req.Header.Set(name, value)
	}
	return c.Transport.RoundTrip(req)
}

// expect makes a call at each endpoint, over each transport.
func (c *caller) expect(t *testing.T, when string, want quashtest.Answers) {
	t.Helper()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.New(c.claims))
	for transport, q := range map[string]*quashtest.Quash{"HTTP/1.1": c.http1, "HTTP/2": c.http2} {
		for _, endpoint := range quashtest.Endpoints {
			if q == nil {
				continue
			}
			got, err := q.Ask(ctx, endpoint, &quashv1.RevokeRequest{Token: "a.b.c"})
			if strings.Contains(got.Everything, "Client sent an HTTP request to an HTTPS server.") {
				got.Text = ""
			}
			if got.Text != want[endpoint] || err != nil && want[endpoint] != "" {
				t.Errorf("%s, %s, %s: %s, %v, want %s", when, endpoint, transport, got.Text, err, want[endpoint])
			}
		}
	}
}

// expectOthers calls the health and reflection services. A rejected health watch must have the
// code UNIMPLEMENTED: after any other code gRPC clients send no calls at all.
func (c *caller) expectOthers(t *testing.T, want quashtest.Answers) {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), metadata.New(c.claims)))
	defer cancel()
	health := healthv1.NewHealthClient(c.http1.Conn)
	_, checkErr := health.Check(ctx, &healthv1.HealthCheckRequest{})
	watch, watchErr := health.Watch(ctx, &healthv1.HealthCheckRequest{})
	if watchErr == nil {
		_, watchErr = watch.Recv()
	}
	reflection, reflectionErr := reflectionv1.NewServerReflectionClient(c.http1.Conn).ServerReflectionInfo(ctx)
	if reflectionErr == nil {
		// If the call has already failed, Recv has the reason.
		_ = reflection.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		_, reflectionErr = reflection.Recv()
	}
	wantWatch := strings.Replace(want[quashtest.GRPC], "PERMISSION_DENIED", "UNIMPLEMENTED", 1)
	for name, call := range map[string]struct {
		err  error
		want string
	}{"Check": {checkErr, want[quashtest.GRPC]}, "Watch": {watchErr, wantWatch}, "reflection": {reflectionErr, want[quashtest.GRPC]}} {
		reason, state := reasonAndState(call.err)
		got := code.Code(status.Code(call.err)).String() + " " + reason + " " + state
		if call.err == nil {
			got = served[quashtest.GRPC]
		}
		if got != call.want {
			t.Errorf("%s: %s, want %s", name, got, call.want)
		}
	}
}

// reasonAndState returns the reason and state in the details of a gRPC error.
func reasonAndState(err error) (reason, state string) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *quashv1.RevokeFailure:
			state = strings.TrimPrefix(d.GetState().String(), "REVOCATION_STATE_")
		}
	}
	return reason, state
}

// claims returns headers in which proxies name the caller or its certificate. quash must
// ignore them.
func claims() map[string]string {
	all := map[string]string{}
	for _, name := range []string{
		"Forwarded", "From", "Identity", "Peer", "Remote-User", "X-Amzn-Mtls-Clientcert-Subject", "X-Client-Verify", "X-Forwarded-Client-Cert",
		"X-Forwarded-For", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-User", "X-Remote-User", "X-Spiffe-Id", "X-Ssl-Client-S-Dn",
		"X-Ssl-Client-San-Uri", "X-Ssl-Client-Verify",
	} {
		for _, prefix := range []string{"", "Grpc-Metadata-"} {
			all[prefix+name] = "URI=" + billing + ";DNS=audit.example.org"
		}
	}
	return all
}

// TestAllowedCallers makes every kind of call with different certificates and server
// configurations. TestParseAllowedCallers tests which identities a list matches.
func TestAllowedCallers(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority of callers")
	issue := func(template x509.Certificate) *tls.Certificate { return new(ca.Issue(&template)) }
	names := func(texts ...string) *tls.Certificate { return issue(x509.Certificate{DNSNames: texts}) }
	listed := func() *x509.Certificate {
		return &x509.Certificate{URIs: pkitest.URIs(billing), DNSNames: []string{"audit.example.org"}}
	}
	good, other := withURI(ca, billing), withURI(ca, "spiffe://example.org/other")
	expired, early, forServers := *listed(), *listed(), *listed()
	expired.NotAfter = time.Now().Add(-time.Minute)
	early.NotBefore = time.Now().Add(time.Minute)
	forServers.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	goodAlong := withURI(ca, "spiffe://example.org/other")
	goodAlong.Certificate = append(goodAlong.Certificate, good.Certificate...)

	listOfAll := func(cfg *server.Config) { cfg.AllowedCallers = allowedCallers(t, "*") }
	noList := func(cfg *server.Config) { cfg.AllowedCallers = nil }
	tls12 := func(cfg *server.Config) { cfg.TLS.MinVersion = tls.VersionTLS12 }
	noCA := func(cfg *server.Config) { cfg.TLS.ClientCAs = nil }
	noTLS := func(cfg *server.Config) { cfg.TLS = nil }
	upTo := func(version uint16) func(*tls.Config) {
		return func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, version }
	}
	cbc := func(cfg *tls.Config) {
		cfg.MaxVersion = tls.VersionTLS12
		cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	}
	const (
		plaintext = iota + 1
		claimingToBe
		plaintextClaiming
	)
	for _, tt := range []struct {
		who       string
		cert      *tls.Certificate
		change    func(*tls.Config) // of the client's handshake
		configure func(*server.Config)
		how       int
		want      quashtest.Answers
		why       string // what the server logs of a handshake that fails
	}{
		{who: "a SPIFFE ID on the list", cert: good, want: served},
		{who: "a DNS name on the list", cert: names("AUDIT.example.org"), want: served},
		{who: "several names, the last one listed", cert: names("a.example.org", "audit.example.org"), want: served},
		{who: "listed, by an intermediate authority", cert: new(ca.NewIntermediate("in between").Issue(listed())), want: served},
		{who: "not listed", cert: other, want: refused},
		{who: "a DNS name that is a listed SPIFFE ID", cert: names(billing), want: refused},
		{who: "a URI that is a listed DNS name", cert: withURI(ca, "audit.example.org"), want: refused},
		{
			who: "a common name alone", want: refused,
			cert: issue(x509.Certificate{Subject: pkix.Name{CommonName: "audit.example.org", Organization: []string{billing}}}),
		},
		{
			who: "e-mail and IP addresses alone", want: refused,
			cert: issue(x509.Certificate{EmailAddresses: []string{"audit.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}),
		},
		{who: "not listed, with a listed certificate in the chain", cert: goodAlong, want: refused},
		{who: "not listed, asking for a listed name", cert: other, change: func(cfg *tls.Config) { cfg.ServerName = "audit.example.org" }, want: refused},
		{who: "not listed, claiming to be", cert: other, how: claimingToBe, want: refused},

		{who: "listed, by another CA with the same name", cert: new(pkitest.NewCA("authority of callers").Issue(listed())), want: noHandshake, why: "unknown authority"},
		{who: "listed, self-signed", cert: new(pkitest.SelfSigned(listed())), want: noHandshake, why: "unknown authority"},
		{who: "listed, expired", cert: issue(expired), want: noHandshake, why: "expired or is not yet valid"},
		{who: "listed, not yet valid", cert: issue(early), want: noHandshake, why: "expired or is not yet valid"},
		{who: "listed, for servers only", cert: issue(forServers), want: noHandshake, why: "incompatible key usage"},
		{who: "no certificate, claiming to be listed", how: claimingToBe, want: noHandshake, why: "client didn't provide a certificate"},
		{who: "plaintext", how: plaintext, want: noHandshake, why: "does not look like a TLS handshake|client sent an HTTP request"},
		{who: "listed, TLS 1.2", cert: good, change: upTo(tls.VersionTLS12), want: noHandshake, why: "only unsupported versions"},

		{who: "listed, TLS 1.2 allowed", configure: tls12, cert: good, change: upTo(tls.VersionTLS12), want: served},
		{who: "not listed, TLS 1.2 allowed", configure: tls12, cert: other, change: upTo(tls.VersionTLS12), want: refused},
		{who: "listed, TLS 1.1", configure: tls12, cert: good, change: upTo(tls.VersionTLS11), want: noHandshake, why: "only unsupported versions"},
		{who: "listed, TLS 1.2 with CBC", configure: tls12, cert: good, change: cbc, want: noHandshake, why: "no cipher suite supported"},

		{who: "any URI, list of *", configure: listOfAll, cert: other, want: served},
		{who: "a wildcard DNS name, list of *", configure: listOfAll, cert: names("*.example.org"), want: refused},
		{who: "a common name alone, list of *", configure: listOfAll, cert: issue(x509.Certificate{Subject: pkix.Name{CommonName: "a"}}), want: refused},
		{who: "any certificate, no list", configure: noList, cert: issue(x509.Certificate{}), want: served},
		{who: "no certificate, no list", configure: noList, want: noHandshake, why: "client didn't provide a certificate"},

		// Flags cannot produce these configurations. They must reject callers.
		{who: "listed, no client CA", configure: noCA, cert: good, want: refused},
		{who: "claiming to be listed, no client CA", configure: noCA, how: claimingToBe, want: refused},
		{who: "claiming to be listed, no TLS", configure: noTLS, how: plaintextClaiming, want: refused},
	} {
		t.Run(tt.who, func(t *testing.T) {
			t.Parallel()
			log := make(lineLog, 1000)
			serverCert := newServerCertificate(ca)
			var upstream service.Upstream = revokesAll
			if tt.want[quashtest.GRPC] != served[quashtest.GRPC] {
				upstream = neverCalled(t)
			}
			f := startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) {
				cfg.TLS = &server.TLS{
					Certificate: func() *tls.Certificate { return serverCert },
					ClientCAs:   func() *x509.CertPool { return pkitest.Pool(ca) },
				}
				cfg.AllowedCallers = allowedCallers(t, billing+"\naudit.example.org")
				cfg.Reflection = true
				cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
				if tt.configure != nil {
					tt.configure(cfg)
				}
			})
			roots := pkitest.Pool(ca)
			if tt.how == plaintext || tt.how == plaintextClaiming {
				roots = nil
			}
			c := newCaller(t, f, roots, tt.cert, tt.change)
			if tt.how == claimingToBe || tt.how == plaintextClaiming {
				c.claims = claims()
			}
			c.expect(t, "", tt.want)
			c.expectOthers(t, tt.want)
			if tt.why != "" {
				log.await(t, "TLS handshake failed.*("+tt.why+")")
			}
		})
	}
}

// replaceable is a quash whose certificate, client CA and list can be replaced while it
// serves.
type replaceable struct {
	*facade

	cert    atomic.Pointer[tls.Certificate]
	clients atomic.Pointer[x509.CertPool]
	allowed atomic.Pointer[server.AllowedCallers]
	log     lineLog
}

func startReplaceable(t *testing.T, upstream service.Upstream, own, clients *pkitest.CA, minVersion uint16) *replaceable {
	t.Helper()
	r := &replaceable{log: make(lineLog, 1000)}
	r.cert.Store(newServerCertificate(own))
	r.clients.Store(pkitest.Pool(clients))
	r.allow(t, "*")
	r.facade = startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) {
		cfg.TLS = &server.TLS{Certificate: r.cert.Load, ClientCAs: r.clients.Load, MinVersion: minVersion}
		cfg.AllowedCallers = func() server.AllowedCallers { return *r.allowed.Load() }
		cfg.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	})
	return r
}

func (r *replaceable) allow(t *testing.T, list string) {
	t.Helper()
	r.allowed.Store(new(allowedCallers(t, list)()))
}

// A new certificate applies to new connections. Open connections stay, for calls in progress
// and for new calls.
func TestCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	ca, other := pkitest.NewCA("authority"), pkitest.NewCA("another authority")
	upstream := newHeldUpstream()
	r := startReplaceable(t, upstream, ca, ca, 0)
	cert := withURI(ca, billing)
	open := newCaller(t, r.facade, pkitest.Pool(ca), cert, nil)
	inProgress := make(chan quashtest.Answer, 3)
	ask := func(q *quashtest.Quash, endpoint string) {
		answer, _ := q.Ask(t.Context(), endpoint, &quashv1.RevokeRequest{Token: "a.b.c"})
		inProgress <- answer
	}
	go ask(open.http1, quashtest.DropIn)
	go ask(open.http2, quashtest.DropIn)
	go ask(open.http1, quashtest.GRPC)
	for range 3 {
		<-upstream.asked
	}
	r.cert.Store(newServerCertificate(other))
	close(upstream.free)
	for range 3 {
		if got := <-inProgress; got.Text != served[quashtest.DropIn] && got.Text != served[quashtest.GRPC] {
			t.Errorf("a call in progress: %s", got.Text)
		}
	}
	open.expect(t, "on the open connections", served)
	if got := open.dials.Load(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
	newCaller(t, r.facade, pkitest.Pool(other), cert, nil).expect(t, "on new connections", served)
}

// A client whose CA was removed cannot open a connection, not even by resuming a session.
// Open connections stay.
func TestClientCAIsReplaced(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			own, dropped, added := pkitest.NewCA("authority"), pkitest.NewCA("authority"), pkitest.NewCA("authority")
			r := startReplaceable(t, revokesAll, own, dropped, version)
			resuming := func(cfg *tls.Config) { cfg.MaxVersion, cfg.ClientSessionCache = version, noSessions{t} }
			open := newCaller(t, r.facade, pkitest.Pool(own), withURI(dropped, billing), resuming)
			open.expect(t, "at first", served)
			r.clients.Store(pkitest.Pool(added))
			open.expect(t, "on the open connections", served)
			newCaller(t, r.facade, pkitest.Pool(own), withURI(dropped, billing), resuming).expect(t, "by the authority that was dropped", noHandshake)
			newCaller(t, r.facade, pkitest.Pool(own), withURI(added, billing), nil).expect(t, "by the one that was added", served)
		})
	}
}

// noSessions is a client's session cache that must stay empty.
type noSessions struct{ t *testing.T }

func (noSessions) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c noSessions) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		c.t.Error("the server issued a session ticket")
	}
}

// A caller that is removed from the list is rejected from its next call on, even on an open
// connection. A caller that is added is served.
func TestListIsReplaced(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority")
	r := startReplaceable(t, revokesAll, ca, ca, 0)
	open := newCaller(t, r.facade, pkitest.Pool(ca), withURI(ca, billing), nil)
	for _, step := range []struct {
		list string
		want quashtest.Answers
	}{{billing, served}, {"spiffe://example.org/other", refused}, {"spiffe://example.org/*", served}} {
		r.allow(t, step.list)
		open.expect(t, step.list, step.want)
	}
	if got := open.dials.Load(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
}
