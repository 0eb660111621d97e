package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// replaceable is a server whose certificate, authority of callers and list can be
// replaced while it serves.
type replaceable struct {
	*tlsServer
	cert    atomic.Pointer[tls.Certificate]
	callers atomic.Pointer[x509.CertPool]
	allowed atomic.Pointer[server.AllowedCallers]
}

func startReplaceable(t *testing.T, upstream service.Upstream, authority *pkitest.CA, minVersion uint16) *replaceable {
	t.Helper()
	// Callers trust it for good: what is replaced below is the certificate alone.
	own := pkitest.NewCA("authority of quash")
	r := &replaceable{tlsServer: &tlsServer{roots: pkitest.Pool(own), log: newGrowingLog()}}
	r.cert.Store(newServerCertificate(own))
	r.callers.Store(pkitest.Pool(authority))
	r.allow(t, "*")
	r.facade = startFacade(t, upstream, func(_ *service.Config, cfg *server.Config) {
		cfg.TLS = &server.TLS{Certificate: r.cert.Load, ClientCAs: r.callers.Load, MinVersion: minVersion}
		cfg.AllowedCallers = func() server.AllowedCallers { return *r.allowed.Load() }
		cfg.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	})
	return r
}

func newServerCertificate(ca *pkitest.CA) *tls.Certificate {
	return new(ca.Issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
}

func (r *replaceable) allow(t *testing.T, list string) {
	t.Helper()
	r.allowed.Store(new(allowedCallers(t, list)()))
}

// open returns a visit for each protocol. They stay on their connections while
// those last.
func (r *replaceable) open(t *testing.T, cert tls.Certificate, change func(*tls.Config)) []*visit {
	t.Helper()
	return r.visits(t, identity{cert: &cert, change: change})
}

// check makes a call for each of the visits. Where cert is not nil, it is what the
// server must have shown.
func check(t *testing.T, when string, visits []*visit, want verdict, cert *tls.Certificate) {
	t.Helper()
	for _, v := range visits {
		d := doors[slices.IndexFunc(doors, func(d door) bool { return d.by == v.by && d.revokes })]
		if answer, got := d.call(t, v); got != want {
			t.Errorf("%s, %s: %s", when, d.name, answer)
		}
		if cert != nil && (len(v.state.PeerCertificates) == 0 || !v.state.PeerCertificates[0].Equal(cert.Leaf)) {
			t.Errorf("%s, %s: the server has shown another certificate", when, d.name)
		}
		if v.state.DidResume {
			t.Errorf("%s, %s: a resumed session", when, d.name)
		}
	}
}

// checkOpen checks that the visits are still on their first connections.
func checkOpen(t *testing.T, visits []*visit) {
	t.Helper()
	for _, v := range visits {
		if n := v.dials(); n != 1 {
			t.Errorf("%d connections to %s, want the one", n, v.addr)
		}
	}
}

// A new certificate is for new connections. Those that are open go on, with the
// calls that are in progress on them, and with new ones.
func TestCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	upstream := newHeldUpstream()
	ca := pkitest.NewCA("authority of callers")
	r := startReplaceable(t, upstream, ca, 0)
	cert := ca.Issue(&x509.Certificate{URIs: pkitest.URIs("spiffe://example.org/billing")})
	before := r.cert.Load()
	open := r.open(t, cert, nil)
	done := make(chan struct{}, len(open))
	for _, v := range open {
		go func() {
			defer func() { done <- struct{}{} }()
			check(t, "in progress", []*visit{v}, mayCall, before)
		}()
	}
	for range open {
		<-upstream.asked
	}

	other := pkitest.NewCA("another authority of quash")
	r.cert.Store(newServerCertificate(other))
	r.roots = pkitest.Pool(other)
	for _, addr := range []net.Addr{r.addrs.GRPC, r.addrs.HTTP} {
		dialer := &tls.Dialer{Config: &tls.Config{RootCAs: r.roots, Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", addr.String())
		if err != nil {
			t.Errorf("a new connection does not get the new certificate: %v", err)
			continue
		}
		_ = conn.Close()
	}
	close(upstream.free)
	for range open {
		<-done
	}
	check(t, "on an open connection", open, mayCall, before)
	check(t, "on a new connection", r.open(t, cert, nil), mayCall, r.cert.Load())
	checkOpen(t, open)
}

// Who has a certificate of an authority that was dropped gets no new connection,
// not by resuming an old session either. Open connections stay.
func TestAuthorityOfCallersIsReplaced(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			template := &x509.Certificate{URIs: pkitest.URIs("spiffe://example.org/billing")}
			dropped, added := pkitest.NewCA("authority of callers"), pkitest.NewCA("authority of callers")
			r := startReplaceable(t, revokesAll, dropped, version)
			resuming := func(cfg *tls.Config) { cfg.MaxVersion, cfg.ClientSessionCache = version, &sessionCache{t} }
			old := dropped.Issue(template)
			open := r.open(t, old, resuming)
			check(t, "at first", open, mayCall, nil)

			r.callers.Store(pkitest.Pool(added))
			check(t, "on an open connection", open, mayCall, nil)
			checkOpen(t, open)
			anew := r.open(t, old, resuming)
			check(t, "by the authority that was dropped", anew, noHandshake, nil)
			for _, v := range anew {
				r.awaitFailure(t, v, "unknown authority")
			}
			check(t, "by the one that was added", r.open(t, added.Issue(template), resuming), mayCall, nil)
		})
	}
}

// sessionCache has nothing to resume, and must get nothing to.
type sessionCache struct{ t *testing.T }

func (sessionCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c sessionCache) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		c.t.Error("the server has given out a session to resume")
	}
}

// Who is taken off the list is refused from the next call on, also on a connection
// that was open before; who is put on it is let in just so.
func TestListIsReplaced(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority of callers")
	r := startReplaceable(t, revokesAll, ca, 0)
	open := r.open(t, ca.Issue(&x509.Certificate{URIs: pkitest.URIs("spiffe://example.org/billing")}), nil)
	for _, step := range []struct {
		list string
		want verdict
	}{
		{"spiffe://example.org/billing", mayCall},
		{"spiffe://example.org/other", mayNot},
		{"spiffe://example.org/*", mayCall},
		{"billing", mayNot},
		{"billing\nspiffe://example.org/billing", mayCall},
	} {
		r.allow(t, step.list)
		check(t, step.list, open, step.want, nil)
	}
	checkOpen(t, open)
}
