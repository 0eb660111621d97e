package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // for protojson
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/service/server"
)

// TestLeakScan sends a token and three credentials through quash over every path. It searches
// everything that can be read of quash for them, for any part of them and for anything derived
// from them. Upstreams echo what they receive, and callers put secrets in the wrong places. A
// secret must not even be returned to its caller, because it would end up in the caller's log.
//
// The scan skips answers in which grpc-go, before our code runs, quotes a caller's own header
// (rpcInput.quotes).
func TestLeakScan(t *testing.T) { //nolint:tparallel // "cases" waits for its parallel subtests
	t.Parallel()
	s := newScan(t.Errorf)
	t.Run("cases", func(t *testing.T) {
		for name, run := range map[string]func(*testing.T, *scan){
			"own key":     leakOwnKey,
			"forwarding":  leakForwarding,
			"mutual TLS":  leakMutualTLS,
			"unreachable": leakUnreachable,
			"bad start":   leakBadStart,
			"panics":      leakPanics,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, s)
			})
		}
	})
	for number, name := range quashv1.ErrorReason_name {
		reason := strings.TrimPrefix(name, "ERROR_REASON_")
		for _, transport := range transports {
			// Only gRPC has deadlines. SHUTTING_DOWN depends on timing.
			possible := number != 0 && (transport == overGRPC || reason != "DEADLINE_TOO_SHORT") && reason != "SHUTTING_DOWN"
			if got := s.reached[reason+" over "+transport]; got != possible {
				t.Errorf("%s over %s: reached %t, want %t", reason, transport, got, possible)
			}
		}
	}
}

// target is an instance to scan, with its clients.
type target struct {
	*instance

	s        *scan
	name     string
	rpc      quashv1.TokenServiceClient
	rest     *http.Client
	forwards bool // callers send credentials
}

// talkative are environment variables that make Go and grpc-go log as much as possible. Not
// among them is GRPC_GO_SERVER_GOROUTINE_LABELS, which adds the methods that clients call to
// profiles.
var talkative = []string{
	"GODEBUG=http2debug=2,tracebacklabels=1", "GOTRACEBACK=all",
	"GRPC_GO_LOG_SEVERITY_LEVEL=info", "GRPC_GO_LOG_VERBOSITY_LEVEL=99",
}

// serve starts a server. Its clients use cfg, or plaintext if cfg is nil.
func (s *scan) serve(t *testing.T, name string, cfg *tls.Config, environment []string, args ...string) *target {
	t.Helper()
	q := start(t, append(environment, talkative...), slices.Concat(args, anyPort, []string{"--log-level", "debug"})...)
	q.tls = cfg
	return s.connect(t, name, q)
}

func (s *scan) connect(t *testing.T, name string, q *instance) *target {
	t.Helper()
	f := &target{instance: q, s: s, name: name, rpc: quashv1.NewTokenServiceClient(q.dial(t)), rest: q.client()}
	t.Cleanup(f.rest.CloseIdleConnections)
	return f
}

// end stops a server and searches the process, its output and its files.
func (f *target) end(t *testing.T) {
	t.Helper()
	f.s.lookAtProcess(t, f.name, f.PID())
	f.stop(t)
	f.s.lookAtRemains(t, f.name, f.instance)
}

// call is a well-formed call.
type call struct {
	transport, scene string
	token            string        // empty means the secret token
	timeout          time.Duration // the consistency timeout; 0 means the default
	deadline         time.Duration // from now; 0 means none
	id               string        // for the upstream; see newID
}

var calls atomic.Int64

// newID returns an id by which the upstream recognises a call and its scene.
func newID(scene string) string { return fmt.Sprintf("%s/%d", scene, calls.Add(1)) }

// Patterns for the content of an answer, in protobuf's JSON or in the headers of drop-in.
var (
	outcomeIn = regexp.MustCompile(`OUTCOME_(\w+)`)
	reasonIn  = regexp.MustCompile(`(?:"reason": *"|Quash-Error-Reason:\[)(\w+)`)
	stateIn   = regexp.MustCompile(`(?:REVOCATION_STATE_|Quash-Revocation-State:\[)(\w+)`)
)

// deadToken stands for the success of drop-in, which contains no outcome.
const deadToken = "204"

// ask makes a call, searches the whole answer, and returns its result: an outcome, the reason
// and the state of an error, or the error of a call without an answer.
func (f *target) ask(ctx context.Context, c call) string {
	c.token = cmp.Or(c.token, f.s.token)
	c.id = cmp.Or(c.id, newID(c.scene))
	if c.deadline != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.deadline)
		defer cancel()
	}
	header := map[string]string{"slashid-sdkversion": c.id}
	if f.forwards {
		header["slashid-api-key"] = f.s.callerKey
		header["authorization"] = f.s.authorization
		header["slashid-orgid"] = "an-organisation"
	}
	do := f.askREST
	if c.transport == overGRPC {
		do = f.askGRPC
	}
	text, err := do(ctx, c, header)
	if err != nil {
		return err.Error()
	}
	f.s.look(fmt.Sprintf("%s, %s, %s", f.name, c.transport, c.id), text)
	if outcome := outcomeIn.FindStringSubmatch(text); outcome != nil {
		return outcome[1]
	}
	reason, state := reasonIn.FindStringSubmatch(text), stateIn.FindStringSubmatch(text)
	switch {
	case reason != nil && state != nil:
		return reason[1] + " " + state[1]
	case strings.Contains(text, "204 No Content"):
		return deadToken
	default:
		return text
	}
}

func (f *target) askGRPC(ctx context.Context, c call, fields map[string]string) (answer string, err error) {
	req := &quashv1.RevokeRequest{Token: c.token}
	if c.timeout != 0 {
		req.Timeout = durationpb.New(c.timeout)
	}
	var header, trailer metadata.MD
	resp, err := f.rpc.Revoke(metadata.NewOutgoingContext(ctx, metadata.New(fields)), req, grpc.Header(&header), grpc.Trailer(&trailer))
	received := fmt.Sprint(header, trailer)
	if err == nil {
		return received + protojson.Format(resp), nil
	}
	st := status.Convert(err).Proto()
	wire, err := proto.Marshal(st)
	return received + protojson.Format(st) + string(wire), err
}

func (f *target) askREST(ctx context.Context, c call, fields map[string]string) (answer string, err error) {
	body := fmt.Sprintf(`{"token":%q`, c.token)
	seconds := fmt.Sprintf("%.0f", c.timeout.Seconds())
	switch {
	case c.timeout != 0 && c.transport == overNative:
		body += `,"timeout":"` + seconds + `s"`
	case c.timeout != 0:
		fields["slashid-required-consistency-timeout"] = seconds
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url()+pathOf[c.transport], strings.NewReader(body+"}"))
	if err != nil {
		return "", err
	}
	for name, value := range fields {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.rest.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.Proto, resp.Status, resp.Header, string(text), resp.Trailer), err
}

// expect makes a call and checks its result.
func (f *target) expect(t *testing.T, c call, want string) {
	t.Helper()
	got := f.ask(t.Context(), c)
	success := got == deadToken && !strings.Contains(want, " ")
	if got != want && !success {
		t.Errorf("%s, %s, %s: %q, want %q", f.name, c.transport, c.scene, got, want)
		return
	}
	f.s.reach(c.transport, want)
}

// expectAll makes a call over every transport and checks the results.
func (f *target) expectAll(t *testing.T, c call, want string) {
	t.Helper()
	for _, c.transport = range transports {
		f.expect(t, c, want)
	}
}

// play makes a call for each scene over every transport. Successful calls in between keep the
// circuit breaker closed.
func (f *target) play(t *testing.T, scenes ...scene) {
	t.Helper()
	for _, sc := range scenes {
		if strings.HasPrefix(sc.answer, "UPSTREAM_UN") {
			for range 4 {
				f.expectAll(t, call{scene: "204"}, revoked)
			}
		}
		f.expectAll(t, call{scene: sc.name}, sc.answer)
	}
}

// sendBadRequests sends requests with tokens in the wrong places, and searches the admin pages
// at the same time.
func (f *target) sendBadRequests(t *testing.T) (wait func()) {
	t.Helper()
	var sending sync.WaitGroup
	sending.Go(func() { f.sendTextInputs(t, nativePath) })
	sending.Go(func() { f.sendTextInputs(t, dropInPath) })
	sending.Go(func() { f.sendRPCInputs(t, f.GRPC) })
	sending.Go(func() { f.checkAdmin(t) })
	return sending.Wait
}

// checkAdmin searches every admin page, and the answers to bad requests to the admin listener.
func (f *target) checkAdmin(t *testing.T) {
	t.Helper()
	if pages := f.s.crawl(t, f.name, f.Admin); pages < 20 {
		t.Errorf("%s has only %d admin pages", f.name, pages)
	}
	for _, request := range []string{
		"GET /{token}", "GET /livez?token={token}", "GET /debug/pprof/{token}", "GET /debug/pprof/heap?debug={token}",
		"GET /debug/pprof/heap?seconds={token}", "GET /debug/pprof/symbol?{token}", "GET /configz?{token}", "PUT /loglevel",
	} {
		text := f.s.fill(request + " HTTP/1.1\r\nHost: quash\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n")
		answer, err := roundTripText(t.Context(), f.Admin, nil, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", text, len(f.s.token), f.s.token), false)
		if err != nil || answer == "" {
			t.Errorf("%s: no answer: %v", request, err)
		}
		f.s.look(f.name+" "+request, answer)
	}
}

// leakOwnKey scans quash with its own key and an upstream over HTTP/1.1.
func leakOwnKey(t *testing.T, s *scan) {
	upstream := startEcho(t)
	keyFile := write(t, s.apiKey+"\n")
	collected := startCollector(t, func(text string) { s.look("own key, exports", text) })
	const margin = 5 * time.Second // far more than an answer takes to reach its caller
	f := s.serve(t, "own key", nil, collected.environment(),
		"serve", "--upstream-url", upstream.url, "--upstream-api-key-file", keyFile, "--deadline-margin", margin.String(), "--reflection", "--drain-delay", "0s")

	// Callers that disconnect. Their outcome is in the log.
	for i, transport := range transports {
		ctx, leave := context.WithCancel(t.Context())
		id := newID(sceneHold)
		var calling sync.WaitGroup
		calling.Go(func() { f.ask(ctx, call{transport: transport, id: id, timeout: time.Second}) })
		upstream.await(t, id)
		if i == 0 {
			// Profiles do not contain the method that a client called: it may contain a token.
			_, profile := send(t, http.MethodGet, "http://"+f.Admin+"/debug/pprof/goroutine?debug=1", "")
			if !strings.Contains(profile, "(*TokenService).Revoke") || strings.Contains(profile, "grpc.method") {
				t.Errorf("the profile lacks the call, or contains its method:\n%s", profile)
			}
		}
		leave()
		calling.Wait()
		f.awaitLog(t, fmt.Sprintf(`(?s)("reason":"CALLER_CANCELLED","state":"UNKNOWN".*){%d}`, i+1))
		s.reach(transport, "CALLER_CANCELLED")
	}
	// A new key that is invalid. quash keeps the old one.
	if err := os.Rename(write(t, s.apiKey+"\n"+s.token), keyFile); err != nil {
		t.Error(err)
	}
	f.awaitLog(t, `upstream API key reload failed`)

	var busy sync.WaitGroup
	for _, transport := range transports { // takes the timeout of 1 s, and 5 s of grace
		busy.Go(func() {
			f.expect(t, call{transport: transport, scene: sceneHold, timeout: time.Second}, "UPSTREAM_TIMEOUT UNKNOWN")
		})
	}
	busy.Go(f.sendBadRequests(t))
	f.expectAll(t, call{token: s.token + "!"}, "INVALID_REQUEST NOT_APPLIED")
	f.play(t, wellFormed...)
	f.play(t, scene{"401", "UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED"}, scene{"403", "UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED"})
	for _, m := range malformedHTTP1 {
		if m.name != sceneUnsolicited {
			f.play(t, m.scene)
		}
	}
	f.expect(t, call{transport: overGRPC, deadline: margin - time.Second}, "DEADLINE_TOO_SHORT NOT_APPLIED")
	f.expect(t, call{transport: overGRPC, deadline: margin + 300*time.Millisecond, scene: sceneHold}, "UPSTREAM_TIMEOUT UNKNOWN")
	busy.Wait()
	// An unsolicited answer. The next call could mistake it for its own, so wait until quash
	// has closed that connection.
	for _, transport := range transports {
		f.expect(t, call{transport: transport, scene: sceneUnsolicited}, revoked)
		<-upstream.dropped
	}
	upstream.release()
	f.end(t)
	upstream.checkReceived(t, s.token, s.apiKey)
	collected.checkMany(t)
}

// leakForwarding scans quash without a key and an upstream over HTTP/2. The process ends with
// a dump of all stacks.
func leakForwarding(t *testing.T, s *scan) {
	ca := pkitest.NewCA("authority")
	upstream := startEchoHTTP2(t, ca.Issue(&x509.Certificate{IPAddresses: loopback}))
	collected := startCollector(t, func(text string) { s.look("forwarding, exports", text) })
	f := s.serve(t, "forwarding", nil, collected.environment(),
		"serve", "--upstream-url", upstream.url, "--upstream-ca-file", write(t, string(ca.PEM())), "--reflection", "--log-format", "text")
	f.forwards = true
	wait := f.sendBadRequests(t)
	f.play(t, wellFormed...)
	f.play(t, scene{"401", "CALLER_CREDENTIAL_REJECTED NOT_APPLIED"}, scene{"403", "CALLER_CREDENTIAL_REJECTED NOT_APPLIED"})
	for _, ends := range []bool{false, true} {
		for _, m := range malformedHTTP2 {
			if m.ends == ends {
				f.play(t, m.scene)
			}
		}
		wait() // a closed connection would end the other calls too
	}

	f.s.lookAtProcess(t, f.name, f.PID())
	var held sync.WaitGroup
	for _, transport := range transports {
		id := newID(sceneHold)
		held.Go(func() { f.ask(t.Context(), call{transport: transport, id: id}) })
		upstream.await(t, id)
	}
	if err := f.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	if err := f.Wait(); err != nil {
		t.Error(err)
	}
	held.Wait()
	if got := strings.Count(f.Stderr.String(), "(*TokenService).Revoke("); got < len(transports) {
		t.Errorf("the stacks show only %d calls", got)
	}
	s.lookAtRemains(t, f.name, f.instance)
	upstream.checkReceived(t, s.token, s.callerKey, s.authorization)
	collected.checkMany(t)
}

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

// leakMutualTLS scans quash with client certificates, a list of allowed callers, and a limit
// of one call in flight.
func leakMutualTLS(t *testing.T, s *scan) {
	ca := pkitest.NewCA("authority")
	upstream := startEcho(t)
	cert, key := pkitest.PEM(ca.Issue(&x509.Certificate{IPAddresses: loopback}))
	as := func(name string) *tls.Config {
		return &tls.Config{RootCAs: pkitest.Pool(ca), Certificates: []tls.Certificate{ca.Issue(&x509.Certificate{DNSNames: []string{name}})}}
	}
	f := s.serve(t, "mutual TLS", as("billing.test"), nil,
		"serve", "--upstream-url", upstream.url, "--max-in-flight", "1", "--drain-delay", "0s",
		"--tls-cert-file", write(t, string(cert)), "--tls-key-file", write(t, string(key)),
		"--tls-client-ca-file", write(t, string(ca.PEM())), "--allowed-callers-file", write(t, "billing.test\n"))
	f.forwards = true
	stranger := s.connect(t, "stranger", &instance{Addrs: f.Addrs, tls: as("stranger.test")})
	f.expectAll(t, call{scene: "204"}, revoked)
	stranger.expectAll(t, call{}, "CALLER_NOT_ALLOWED NOT_APPLIED")
	f.sendTextInputs(t, dropInPath)
	f.sendRPCInputs(t, f.HTTP, ":path", dropInPath, "content-type", "application/json")
	for _, addr := range []string{f.GRPC, f.HTTP} {
		answer, err := roundTripText(t.Context(), addr, nil, textInput{}.request(s.secrets, dropInPath), true)
		if err != nil {
			t.Error(err)
		}
		s.look("plaintext to TLS", answer)
	}

	var held sync.WaitGroup
	id := newID(sceneHold)
	held.Go(func() { f.ask(t.Context(), call{transport: overNative, id: id}) })
	upstream.await(t, id)
	f.expectAll(t, call{}, "OVERLOADED NOT_APPLIED")
	upstream.release()
	held.Wait()
	f.checkAdmin(t)
	f.end(t)
}

// leakUnreachable scans quash with an upstream whose TLS handshakes fail, and then with an open
// circuit breaker.
func leakUnreachable(t *testing.T, s *scan) {
	ca := pkitest.NewCA("authority")
	named := ca.Issue(&x509.Certificate{DNSNames: []string{s.token}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	t.Cleanup(acceptAll(l, func(conn net.Conn) {
		switch accepted.Add(1) % 4 {
		case 0:
			_, _ = io.WriteString(conn, "HTTP/1.1 400 "+s.token+"\r\n\r\n"+s.token)
		case 1: // an alert, followed by more data
			_, _ = io.WriteString(conn, "\x15\x03\x03\x01\x00\x02\x28"+s.token)
		case 2:
			_, _ = io.WriteString(conn, s.token)
		case 3: // a certificate with the token as its name
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{named}}).HandshakeContext(t.Context())
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}))
	f := s.serve(t, "unreachable", nil, []string{"QUASH_UPSTREAM_CA_FILE=" + write(t, string(ca.PEM())), "QUASH_UPSTREAM_URL=https://" + l.Addr().String()},
		"serve", "--drain-delay", "0s")
	f.forwards = true
	f.expectAll(t, call{}, "UPSTREAM_UNREACHABLE NOT_APPLIED")
	eventually(t, "an open circuit breaker", func() bool {
		return f.ask(t.Context(), call{transport: overGRPC}) == "UPSTREAM_CIRCUIT_OPEN NOT_APPLIED"
	})
	f.expectAll(t, call{}, "UPSTREAM_CIRCUIT_OPEN NOT_APPLIED")
	f.checkAdmin(t)
	f.end(t)
}

// leakBadStart scans the output of quash when secrets in its settings keep it from starting.
func leakBadStart(t *testing.T, s *scan) {
	for name, tt := range map[string]struct {
		environment []string
		args        []string
	}{
		"a URL with a password":          {nil, []string{"--upstream-url", s.fill("https://user:{token}@127.0.0.1")}},
		"an invalid URL":                 {nil, []string{"--upstream-url", s.fill("https://user:{token}@127.0.0.1:%zz/")}},
		"a variable with a password":     {[]string{s.fill("QUASH_UPSTREAM_URL=https://user:{token}@127.0.0.1")}, nil},
		"a key of two words":             {nil, []string{"--upstream-api-key-file", write(t, s.apiKey+" "+s.token)}},
		"a key instead of a CA":          {nil, []string{"--upstream-ca-file", write(t, s.apiKey+s.token)}},
		"a key instead of a certificate": {nil, []string{"--tls-cert-file", write(t, s.token), "--tls-key-file", write(t, s.apiKey)}},
		"an argument":                    {nil, []string{s.token}},
		"a flag":                         {nil, []string{"--" + s.token}},
		"variables":                      {[]string{"QUASH_DRAIN_TIMEOUT=" + s.token, "QUASH_HEADER_TIMEOUT=" + s.token, "QUASH_ADMIN_ADDR=" + s.token + ":1"}, nil},
	} {
		environment := append([]string{"QUASH_UPSTREAM_URL=https://127.0.0.1"}, tt.environment...)
		q := launch(t, environment, slices.Concat([]string{"serve"}, anyPort, tt.args)...)
		if err := q.Wait(); err != nil {
			t.Error(err)
		}
		if got := q.State().ExitCode(); got != 2 {
			t.Errorf("%s: exit code %d", name, got)
		}
		s.lookAtRemains(t, name, q)
	}
}

// panics are ways to panic with a request, by scene.
var panics = map[string]func(*quashv1.RevokeRequest){
	"a string":    func(req *quashv1.RevokeRequest) { panic("no way to revoke " + req.GetToken()) },
	"an error":    func(req *quashv1.RevokeRequest) { panic(fmt.Errorf("no way to revoke %s", req.GetToken())) },
	"the request": func(req *quashv1.RevokeRequest) { panic(req) },
	"an index":    func(req *quashv1.RevokeRequest) { _ = []byte(req.GetToken())[len(req.GetToken()):][0] },
	"two panics":  func(req *quashv1.RevokeRequest) { defer panic(req.GetToken()); panic("1 " + req.GetToken()) },
}

// panicking is a service whose Revoke panics.
type panicking struct {
	quashv1.UnimplementedTokenServiceServer
}

func (panicking) Drain() {}

func (panicking) Wait(context.Context) error { return nil }

func (panicking) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	scene, _, _ := strings.Cut(strings.Join(metadata.ValueFromIncomingContext(ctx, "slashid-sdkversion"), ""), "/")
	panics[scene](req)
	return &quashv1.RevokeResponse{}, nil
}

// leakPanics scans quash with a service that panics with the request. It runs in the test
// process, because the real service cannot be made to panic.
func leakPanics(t *testing.T, s *scan) {
	var log bytes.Buffer
	q := quashtest.Start(t, func(cfg *server.Config) {
		cfg.Service = panicking{}
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	f := s.connect(t, "panics", &instance{Addrs: proctest.Addrs{GRPC: q.Addr, HTTP: strings.TrimPrefix(q.URL, "http://")}})
	for scene := range panics {
		f.expectAll(t, call{scene: scene}, "INTERNAL UNKNOWN")
	}
	q.Stop()
	s.look("log of panics", log.String())
	if got, want := strings.Count(log.String(), `"msg":"panic"`), len(transports)*len(panics); got != want {
		t.Errorf("%d panics are logged, want %d", got, want)
	}
}
