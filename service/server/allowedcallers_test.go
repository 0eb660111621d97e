package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

const allowedCallersList = `# who may call
spiffe://example.org/billing
spiffe://Mixed.Example.org/Case   # its host in any case, its path not
spiffe://example.org/jobs/*
https://example.org?name=Auditor
https://Auditor@example.org/
URN:example:Auditor
Audit.Example.org
`

// The servers that callers come to.
const (
	withList         = "list"
	withoutList      = "no list"
	withEveryone     = "list of *"
	withTLS12        = "list, TLS 1.2"
	askingForNothing = "list, no client CA"
	servingPlaintext = "list, plaintext"
)

type verdict int

const (
	// mayCall: the answer is that of the service.
	mayCall verdict = iota
	// mayNot: PERMISSION_DENIED with everything that goes with it.
	mayNot
	// noHandshake: there is no connection to call on.
	noHandshake
)

// identity is who calls, and what must come of it at every door.
type identity struct {
	who string
	// cert is what it shows in the handshake. It does so whatever the server asks for.
	cert   *tls.Certificate
	change func(*tls.Config) // of what else it does there; nil for nothing
	// plaintext leaves the handshake out.
	plaintext bool
	// claims go along as headers, or as metadata.
	claims map[string]string
	at     string // the server; withList if empty
	want   verdict
	why    string // what the server logs of a handshake that fails
}

// TestAllowedCallers takes everybody through every door.
func TestAllowedCallers(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA("authority of callers")
	servers := startServers(t, ca)
	everybody := identities(ca)
	rows := make([]string, len(everybody))
	t.Cleanup(func() {
		t.Logf("the list:\n%s\nwho may call:\n| caller | server | %s |\n|%s\n%s", allowedCallersList,
			strings.Join(doorNames(), " | "), strings.Repeat(" --- |", 2+len(doors)), strings.Join(rows, ""))
	})
	for i, id := range everybody {
		t.Run(id.who, func(t *testing.T) {
			t.Parallel()
			if id.at == "" {
				id.at = withList
			}
			rows[i] = servers[id.at].meet(t, id, fmt.Sprint("caller-", i))
		})
	}
}

func identities(ca *pkitest.CA) []identity {
	namesake := pkitest.NewCA("authority of callers")
	uris := func(texts ...string) *tls.Certificate {
		return new(ca.Issue(&x509.Certificate{URIs: pkitest.URIs(texts...)}))
	}
	names := func(texts ...string) *tls.Certificate {
		return new(ca.Issue(&x509.Certificate{DNSNames: texts}))
	}
	listed := func() *x509.Certificate {
		return &x509.Certificate{
			URIs:     pkitest.URIs("spiffe://example.org/billing"),
			DNSNames: []string{"audit.example.org"},
		}
	}
	versions := func(least, most uint16) func(*tls.Config) {
		return func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = least, most }
	}
	const (
		unknownAuthority = "certificate signed by unknown authority"
		outOfTime        = "certificate has expired or is not yet valid"
		wrongVersion     = "client offered only unsupported versions"
	)
	good := uris("spiffe://example.org/billing")
	expired, early := listed(), listed()
	expired.NotAfter = time.Now().Add(-time.Minute)
	early.NotBefore = time.Now().Add(time.Minute)
	withGoodAlong := uris("spiffe://example.org/other")
	withGoodAlong.Certificate = append(withGoodAlong.Certificate, good.Certificate...)
	return []identity{
		{who: "SPIFFE ID on the list", cert: good},
		{who: "SPIFFE ID, host in another case", cert: uris("spiffe://mixed.EXAMPLE.org/Case")},
		{who: "SPIFFE ID, path in another case", cert: uris("spiffe://mixed.example.org/case"), want: mayNot},
		{who: "SPIFFE ID with a listed prefix", cert: uris("spiffe://example.org/jobs/nightly/eu")},
		{who: "SPIFFE ID that is a listed prefix", cert: uris("spiffe://example.org/jobs/")},
		{who: "prefix without its slash", cert: uris("spiffe://example.org/jobs"), want: mayNot},
		{who: "prefix with more before its slash", cert: uris("spiffe://example.org/jobs-admin/nightly"), want: mayNot},
		{who: "prefix in another case", cert: uris("spiffe://example.org/Jobs/nightly"), want: mayNot},
		{who: "prefix in the middle", cert: uris("spiffe://example.net/spiffe://example.org/jobs/nightly"), want: mayNot},
		{who: "another SPIFFE ID", cert: uris("spiffe://example.org/other"), want: mayNot},
		{who: "listed ID and more", cert: uris("spiffe://example.org/billing-admin"), want: mayNot},
		{who: "listed ID and a slash", cert: uris("spiffe://example.org/billing/"), want: mayNot},
		{who: "listed ID but for its end", cert: uris("spiffe://example.org/billin"), want: mayNot},
		{who: "listed ID of another trust domain", cert: uris("spiffe://example.org.evil.test/billing"), want: mayNot},
		{who: "listed ID with a user", cert: uris("spiffe://other@example.org/billing"), want: mayNot},
		{who: "listed ID with a port", cert: uris("spiffe://example.org:443/billing"), want: mayNot},
		{who: "listed ID of another scheme", cert: uris("https://example.org/billing"), want: mayNot},
		{who: "trust domain without a path", cert: uris("spiffe://example.org"), want: mayNot},
		{who: "trust domain with an empty path", cert: uris("spiffe://example.org/"), want: mayNot},
		{who: "other URI on the list", cert: uris("HTTPS://EXAMPLE.org?name=Auditor")},
		{who: "other URI, query in another case", cert: uris("https://example.org?name=auditor"), want: mayNot},
		{who: "other URI, user in another case", cert: uris("https://auditor@example.org/"), want: mayNot},
		{who: "URN on the list", cert: uris("urn:example:Auditor")},
		{who: "URN, rest in another case", cert: uris("urn:example:auditor"), want: mayNot},
		{who: "DNS name on the list", cert: names("audit.example.org")},
		{who: "DNS name in upper case", cert: names("AUDIT.EXAMPLE.ORG")},
		{who: "another DNS name", cert: names("audit.example.org.evil.test"), want: mayNot},
		{who: "DNS name below a listed one", cert: names("eu.audit.example.org"), want: mayNot},
		{who: "wildcard DNS name", cert: names("*.example.org"), want: mayNot},
		{who: "DNS name that is a listed SPIFFE ID", cert: names("spiffe://example.org/billing"), want: mayNot},
		{who: "URI that is a listed DNS name", cert: uris("audit.example.org"), want: mayNot},
		{who: "URI that is a * alone", cert: uris("*"), want: mayNot},
		{who: "several names, the last one listed", cert: new(ca.Issue(&x509.Certificate{
			URIs:     pkitest.URIs("spiffe://example.org/a", "spiffe://example.org/b"),
			DNSNames: []string{"a.example.org", "audit.example.org"},
		}))},
		{who: "several names, none listed", cert: new(ca.Issue(&x509.Certificate{
			URIs:     pkitest.URIs("spiffe://example.org/a", "spiffe://example.org/b"),
			DNSNames: []string{"a.example.org", "b.example.org"},
		})), want: mayNot},
		{who: "common name alone", cert: new(ca.Issue(&x509.Certificate{
			Subject: pkix.Name{CommonName: "audit.example.org", Organization: []string{"spiffe://example.org/billing"}},
		})), want: mayNot},
		{who: "e-mail and IP addresses alone", cert: new(ca.Issue(&x509.Certificate{
			EmailAddresses: []string{"audit.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		})), want: mayNot},
		{who: "listed, by an intermediate authority", cert: new(ca.NewIntermediate("in between").Issue(listed()))},
		{who: "unlisted, a listed certificate along with it", cert: withGoodAlong, want: mayNot},
		{
			who: "unlisted, asking for a listed name", cert: names("other.example.org"), want: mayNot,
			change: func(cfg *tls.Config) { cfg.ServerName = "audit.example.org" },
		},
		{who: "listed, claiming to be another", cert: good, claims: claims("spiffe://example.org/other", "other.example.org")},
		{who: "unlisted, claiming to be listed", cert: names("other.example.org"), claims: claims("spiffe://example.org/billing", "audit.example.org"), want: mayNot},

		{who: "listed names by a namesake of the authority", cert: new(namesake.Issue(listed())), want: noHandshake, why: unknownAuthority},
		{who: "listed names, signed by itself", cert: new(pkitest.SelfSigned(listed())), want: noHandshake, why: unknownAuthority},
		{who: "listed, expired", cert: new(ca.Issue(expired)), want: noHandshake, why: outOfTime},
		{who: "listed, not yet valid", cert: new(ca.Issue(early)), want: noHandshake, why: outOfTime},
		{who: "listed, for servers only", cert: new(ca.Issue(&x509.Certificate{
			URIs: pkitest.URIs("spiffe://example.org/billing"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})), want: noHandshake, why: "incompatible key usage"},
		{who: "no certificate", want: noHandshake, why: "client didn't provide a certificate"},
		{who: "no certificate, claiming to be listed", claims: claims("spiffe://example.org/billing", "audit.example.org"), want: noHandshake, why: "client didn't provide a certificate"},
		{who: "plaintext", plaintext: true, want: noHandshake, why: "first record does not look like a TLS handshake|client sent an HTTP request to an HTTPS server"},
		{who: "listed, TLS 1.2", cert: good, change: versions(tls.VersionTLS12, tls.VersionTLS12), want: noHandshake, why: wrongVersion},

		{who: "listed, TLS 1.2", at: withTLS12, cert: good, change: versions(tls.VersionTLS12, tls.VersionTLS12)},
		{who: "unlisted, TLS 1.2", at: withTLS12, cert: uris("spiffe://example.org/other"), change: versions(tls.VersionTLS12, tls.VersionTLS12), want: mayNot},
		{who: "listed, TLS 1.1", at: withTLS12, cert: good, change: versions(tls.VersionTLS10, tls.VersionTLS11), want: noHandshake, why: wrongVersion},
		{who: "listed, TLS 1.2 with CBC", at: withTLS12, cert: good, want: noHandshake, why: "no cipher suite supported", change: func(cfg *tls.Config) {
			cfg.MaxVersion = tls.VersionTLS12
			cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}},
		{who: "no certificate, TLS 1.2", at: withTLS12, change: versions(tls.VersionTLS12, tls.VersionTLS12), want: noHandshake, why: "client didn't provide a certificate"},

		{who: "any URI", at: withEveryone, cert: uris("spiffe://example.org/other")},
		{who: "any DNS name", at: withEveryone, cert: names("other.example.org")},
		{who: "common name alone", at: withEveryone, cert: new(ca.Issue(&x509.Certificate{Subject: pkix.Name{CommonName: "audit.example.org"}})), want: mayNot},
		{who: "wildcard DNS name", at: withEveryone, cert: names("*.example.org"), want: mayNot},
		{who: "any certificate", at: withoutList, cert: new(ca.Issue(&x509.Certificate{}))},
		{who: "no certificate", at: withoutList, want: noHandshake, why: "client didn't provide a certificate"},

		// A configuration that no flags lead to: it must fail on the safe side.
		{who: "listed", at: askingForNothing, cert: good, want: mayNot},
		{who: "no certificate, claiming to be listed", at: askingForNothing, claims: claims("spiffe://example.org/billing", "audit.example.org"), want: mayNot},
		{who: "plaintext, claiming to be listed", at: servingPlaintext, plaintext: true, claims: claims("spiffe://example.org/billing", "audit.example.org"), want: mayNot},
	}
}

// claims are the headers in which proxies tell of the caller's certificate, or of
// the caller.
func claims(uri, name string) map[string]string {
	all := map[string]string{
		"X-Forwarded-Client-Cert":          "By=spiffe://example.org/quash;Hash=00;Subject=\"CN=" + name + "\";URI=" + uri + ";DNS=" + name,
		"X-Forwarded-Tls-Client-Cert-Info": "Subject=\"CN=" + name + "\";SAN=\"" + uri + "," + name + "\"",
		"X-Ssl-Client-Verify":              "SUCCESS",
		"X-Ssl-Client-S-Dn":                "CN=" + name,
		"X-Ssl-Client-San-Uri":             uri,
		"X-Client-Verify":                  "SUCCESS",
		"X-Client-San":                     uri,
		"X-Spiffe-Id":                      uri,
		"X-Amzn-Mtls-Clientcert-Subject":   "CN=" + name,
		"Forwarded":                        "for=127.0.0.1;by=" + name + ";host=" + name + ";proto=https",
		"X-Forwarded-For":                  "127.0.0.1",
		"X-Forwarded-Host":                 name,
		"X-Forwarded-Proto":                "https",
		"X-Forwarded-User":                 uri,
		"X-Real-Ip":                        "127.0.0.1",
		"X-Remote-User":                    uri,
		"Remote-User":                      uri,
		"From":                             name,
		"Via":                              "2 " + name,
		"Peer":                             uri,
		"Identity":                         uri,
	}
	for header, value := range all {
		all["Grpc-Metadata-"+header] = value
	}
	return all
}

// tlsServer is a façade, what its upstream was asked for, and its log.
type tlsServer struct {
	*facade
	roots   *x509.CertPool
	revoked sync.Map // of tokens
	log     *growingLog
}

func startServers(t *testing.T, ca *pkitest.CA) map[string]*tlsServer {
	t.Helper()
	cert := ca.Issue(&x509.Certificate{DNSNames: []string{"audit.example.org"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	secure := func() *server.TLS {
		return &server.TLS{
			Certificate: func() *tls.Certificate { return &cert },
			ClientCAs:   func() *x509.CertPool { return pkitest.Pool(ca) },
		}
	}
	servers := map[string]*tlsServer{}
	for name, configure := range map[string]func(*server.Config){
		withList:         func(*server.Config) {},
		withTLS12:        func(cfg *server.Config) { cfg.TLS.MinVersion = tls.VersionTLS12 },
		withEveryone:     func(cfg *server.Config) { cfg.AllowedCallers = allowedCallers(t, "*") },
		withoutList:      func(cfg *server.Config) { cfg.AllowedCallers = nil },
		askingForNothing: func(cfg *server.Config) { cfg.TLS.ClientCAs = nil },
		servingPlaintext: func(cfg *server.Config) { cfg.TLS = nil },
	} {
		s := &tlsServer{roots: pkitest.Pool(ca), log: newGrowingLog()}
		s.facade = startFacade(t, upstreamtest.Func(func(_ context.Context, req slashid.Request) slashid.Result {
			if !req.BeforeSend() {
				return slashid.Result{Err: slashid.ErrNotSent}
			}
			s.revoked.Store(req.Token.Reveal(), true)
			return slashid.Result{Status: http.StatusNoContent, Sent: true}
		}), func(_ *service.Config, cfg *server.Config) {
			cfg.TLS = secure()
			cfg.AllowedCallers = allowedCallers(t, allowedCallersList)
			cfg.Reflection = true
			cfg.Logger = slog.New(slog.NewTextHandler(s.log, nil))
			configure(cfg)
		})
		servers[name] = s
	}
	return servers
}

func allowedCallers(t *testing.T, list string) func() server.AllowedCallers {
	t.Helper()
	allowed, err := server.ParseAllowedCallers([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	return func() server.AllowedCallers { return allowed }
}

// meet takes a caller through every door, and returns a row of the table.
func (s *tlsServer) meet(t *testing.T, id identity, token string) string {
	t.Helper()
	visits := s.visits(t, id)
	row := []string{id.who, id.at}
	for i, d := range doors {
		v := visits[d.by]
		v.token = fmt.Sprintf("%s-%d", token, i)
		answer, got := d.call(t, v)
		if got != id.want {
			t.Errorf("%s: %s", d.name, answer)
		}
		_, revoked := s.revoked.Load(v.token)
		if want := d.revokes && answer != "" && id.want == mayCall; revoked != want {
			t.Errorf("%s: the token is revoked: %t", d.name, revoked)
		}
		row = append(row, answer)
	}
	if id.want == noHandshake {
		for _, v := range visits {
			s.awaitFailure(t, v, id.why)
		}
	}
	return "| " + strings.Join(row, " | ") + " |\n"
}

// awaitFailure waits for what the server logs of the handshake of v, unless that
// has not failed, to the test's surprise.
func (s *tlsServer) awaitFailure(t *testing.T, v *visit, why string) {
	t.Helper()
	if t.Failed() {
		return
	}
	s.log.await(t, fmt.Sprintf(`TLS handshake.*%s\b.*(%s)`, regexp.QuoteMeta(v.from(t)), why))
}

// protocol is what a connection speaks.
type protocol int

const (
	byGRPC protocol = iota
	byHTTP1
	byHTTP2
)

// doors are every way to call.
var doors = []door{
	{"gRPC", byGRPC, true, grpcCall(revoke)},
	{"gRPC health Check", byGRPC, false, grpcCall(checkHealth)},
	{"gRPC health Watch", byGRPC, false, grpcCall(watchHealth)},
	{"gRPC reflection", byGRPC, false, grpcCall(listServices)},
	{"native, HTTP/1.1", byHTTP1, true, restCall(nativePath)},
	{"native, HTTP/2", byHTTP2, true, restCall(nativePath)},
	{"drop-in, HTTP/1.1", byHTTP1, true, restCall(dropInPath)},
	{"drop-in, HTTP/2", byHTTP2, true, restCall(dropInPath)},
}

type door struct {
	name    string
	by      protocol
	revokes bool
	call    func(*testing.T, *visit) (answer string, got verdict)
}

func doorNames() (names []string) {
	for _, d := range doors {
		names = append(names, d.name)
	}
	return names
}

// visit is a caller on a connection of its own, for one of the protocols.
type visit struct {
	identity

	by   protocol
	addr string
	grpc *grpc.ClientConn
	http *http.Transport
	// token is what it calls with.
	token string
	// state is that of the connection, as of the last revocation that was answered.
	state tls.ConnectionState

	mu     sync.Mutex
	locals []string // the addresses that it came from
}

// visits returns one for each protocol.
func (s *tlsServer) visits(t *testing.T, id identity) []*visit {
	t.Helper()
	visits := make([]*visit, 3)
	for i := range visits {
		visits[i] = &visit{identity: id, by: protocol(i), addr: s.addrs.HTTP.String(), token: "a.b.c"}
		visits[i].open(t, s)
	}
	return visits
}

func (v *visit) open(t *testing.T, s *tlsServer) {
	t.Helper()
	cfg := &tls.Config{RootCAs: s.roots}
	if v.cert != nil {
		// Left to itself crypto/tls keeps back what the server has not asked for.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return v.cert, nil }
	}
	if v.change != nil {
		v.change(cfg)
	}
	if v.by != byGRPC {
		var protocols http.Protocols
		protocols.SetHTTP1(v.by == byHTTP1)
		protocols.SetHTTP2(v.by == byHTTP2 && !v.plaintext)
		protocols.SetUnencryptedHTTP2(v.by == byHTTP2 && v.plaintext)
		v.http = &http.Transport{DialContext: v.dial, Protocols: &protocols, TLSClientConfig: cfg}
		t.Cleanup(v.http.CloseIdleConnections)
		return
	}
	creds := credentials.NewTLS(cfg)
	if v.plaintext {
		creds = insecure.NewCredentials()
	}
	v.addr = s.addrs.GRPC.String()
	var err error
	v.grpc, err = grpc.NewClient(v.addr, grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return v.dial(ctx, "tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.grpc.Close() })
}

func (v *visit) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		v.mu.Lock()
		v.locals = append(v.locals, conn.LocalAddr().String())
		v.mu.Unlock()
	}
	return conn, err
}

// from is the address that it came from first. A client may try again, and give up
// in the middle of that.
func (v *visit) from(t *testing.T) string {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.locals) == 0 {
		t.Fatal("it has not even connected")
	}
	return v.locals[0]
}

func (v *visit) dials() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.locals)
}

// grpcCall is the door of one of the calls over gRPC.
func grpcCall(call func(ctx context.Context, v *visit) error) func(*testing.T, *visit) (string, verdict) {
	return func(t *testing.T, v *visit) (string, verdict) {
		t.Helper()
		st := status.Convert(call(metadata.NewOutgoingContext(t.Context(), metadata.New(v.claims)), v))
		switch {
		case st.Code() == codes.OK:
			return "OK", mayCall
		case isRefusal(st):
			return "PERMISSION_DENIED", mayNot
		case st.Code() == codes.Unavailable && len(st.Details()) == 0:
			return "no handshake", noHandshake
		}
		return st.String(), -1
	}
}

func revoke(ctx context.Context, v *visit) error {
	var server peer.Peer
	_, err := quashv1.NewTokenServiceClient(v.grpc).Revoke(ctx, &quashv1.RevokeRequest{Token: v.token}, grpc.Peer(&server))
	if info, ok := server.AuthInfo.(credentials.TLSInfo); ok {
		v.state = info.State
	}
	return err
}

func checkHealth(ctx context.Context, v *visit) error {
	_, err := healthv1.NewHealthClient(v.grpc).Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

func watchHealth(ctx context.Context, v *visit) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := healthv1.NewHealthClient(v.grpc).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	st := status.Convert(err).Proto()
	switch codes.Code(st.GetCode()) { //nolint:exhaustive // the others are what they are
	case codes.PermissionDenied:
		return errors.New("refused with a code after which gRPC's clients hold back all calls")
	case codes.Unimplemented: // but for that the refusal is the same
		st.Code = int32(codes.PermissionDenied)
		return status.ErrorProto(st)
	}
	return err
}

func listServices(ctx context.Context, v *visit) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := reflectionv1.NewServerReflectionClient(v.grpc).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	// When the call has already failed, Recv has the reason.
	_ = stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	})
	_, err = stream.Recv()
	return err
}

// isRefusal reports whether st is all that CALLER_NOT_ALLOWED is documented to be.
func isRefusal(st *status.Status) bool {
	if st.Code() != codes.PermissionDenied || len(st.Details()) != 2 {
		return false
	}
	info, _ := st.Details()[0].(*errdetails.ErrorInfo)
	failure, _ := st.Details()[1].(*quashv1.RevokeFailure)
	return info.GetReason() == "CALLER_NOT_ALLOWED" && failure.GetState() == quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
}

// restCall is one of the doors of REST.
func restCall(path string) func(*testing.T, *visit) (string, verdict) {
	return func(t *testing.T, v *visit) (string, verdict) {
		t.Helper()
		if v.at == servingPlaintext && v.by == byHTTP2 {
			return "", v.want // there is no such door
		}
		resp, body, err := v.post(t, path)
		if err != nil || v.plaintext && string(body) == "Client sent an HTTP request to an HTTPS server.\n" {
			return "no handshake", noHandshake
		}
		if resp.TLS != nil {
			v.state = *resp.TLS
		}
		switch {
		case protocol(resp.ProtoMajor) != v.by:
			return resp.Proto, -1
		case path == nativePath && resp.StatusCode == http.StatusOK, path == dropInPath && resp.StatusCode == http.StatusNoContent:
			return resp.Status[:3], mayCall
		case resp.StatusCode == http.StatusForbidden && isRESTRefusal(path, resp.Header, body):
			return resp.Status[:3], mayNot
		}
		return fmt.Sprintf("%s %s", resp.Status, body), -1
	}
}

func (v *visit) post(t *testing.T, path string) (*http.Response, []byte, error) {
	t.Helper()
	scheme := "https://"
	if v.plaintext {
		scheme = "http://"
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+v.addr+path, strings.NewReader(`{"token":"`+v.token+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range v.claims {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := v.http.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func isRESTRefusal(path string, header http.Header, body []byte) bool {
	if path == dropInPath {
		return header.Get("Quash-Error-Reason") == "CALLER_NOT_ALLOWED" && header.Get("Quash-Revocation-State") == "NOT_APPLIED"
	}
	var st statuspb.Status
	return protojson.Unmarshal(body, &st) == nil && isRefusal(status.FromProto(&st))
}

// growingLog is a log that a test can wait for.
type growingLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced whenever there is more
}

func newGrowingLog() *growingLog { return &growingLog{grown: make(chan struct{})} }

func (l *growingLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return l.text.Write(p)
}

// await waits for a line that matches the pattern.
func (l *growingLog) await(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("nothing of the kind is logged"))
	defer cancel()
	for {
		l.mu.Lock()
		found, grown := re.Match(l.text.Bytes()), l.grown
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Errorf("%s: %v", pattern, context.Cause(ctx))
			return
		}
	}
}
