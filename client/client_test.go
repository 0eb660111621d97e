package client_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/quashtest"
	"github.com/quashdev/quash/sandbox"
)

const (
	revoked        = quashv1.Outcome_OUTCOME_REVOKED
	alreadyInvalid = quashv1.Outcome_OUTCOME_ALREADY_INVALID
	notApplied     = quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED
	unknown        = quashv1.RevocationState_REVOCATION_STATE_UNKNOWN
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plaintext makes clients use no TLS.
var plaintext = client.WithInsecure()

// newClient returns a client that is closed when the test ends.
func newClient(t *testing.T, target string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newClientOf returns a client of a name that resolves to the addresses.
func newClientOf(t *testing.T, addrs ...string) *client.Client {
	t.Helper()
	r := manual.NewBuilderWithScheme("test")
	var state resolver.State
	for _, addr := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	r.InitialState(state)
	return newClient(t, "test:///quash", plaintext, client.WithDialOptions(grpc.WithResolvers(r)))
}

// mustRevoke returns the address of the instance that revoked the token.
func mustRevoke(t *testing.T, c *client.Client, req *quashv1.RevokeRequest, want quashv1.Outcome) (by string) {
	t.Helper()
	var p peer.Peer
	resp, err := c.Revoke(t.Context(), req, grpc.Peer(&p))
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.GetOutcome(); got != want {
		t.Errorf("outcome %v, want %v", got, want)
	}
	return p.Addr.String()
}

// mustFail returns the failure of a call.
func mustFail(ctx context.Context, t *testing.T, c *client.Client, req *quashv1.RevokeRequest) *client.FailureInfo {
	t.Helper()
	resp, err := c.Revoke(ctx, req)
	failure, ok := client.Failure(err)
	if !ok {
		t.Fatalf("answered with %v, %v", resp, err)
	}
	return failure
}

// SlashID revokes the token but answers that it is unavailable, to all attempts of quash. The
// client retries, and then the token is invalid, because this call revoked it.
func TestRetryAfterARevocationWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	script := func() {
		t.Helper()
		if err := quash.Sandbox.Script(sandbox.Fault{Apply: true, Status: 503}, sandbox.Fault{Status: 503, Count: 2}); err != nil {
			t.Fatal(err)
		}
	}
	script()
	req := &quashv1.RevokeRequest{Token: quash.Mint()}
	c := newClient(t, quash.Addr, plaintext)
	mustRevoke(t, c, req, alreadyInvalid)

	rejected := mustFail(t.Context(), t, c, req) // a new call
	if rejected.State != notApplied || rejected.CorrelationID == "" || rejected.UpstreamStatus != 400 {
		t.Errorf("%+v", rejected)
	}

	script()
	once := newClient(t, quash.Addr, plaintext, client.WithAttempts(1))
	failure := mustFail(t.Context(), t, once, &quashv1.RevokeRequest{Token: quash.Mint()})
	if failure.State != unknown || failure.Attempts != 3 || !failure.Retryable || failure.RetryDelay != time.Second {
		t.Errorf("%+v", failure)
	}
}

func TestCallsAreSpreadOverAllInstances(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	other := quashtest.InFrontOf(t, quash.Sandbox)
	c := newClientOf(t, quash.Addr, other.Addr)
	by := map[string]int{}
	for len(by) < 2 { // until both are connected
		by[mustRevoke(t, c, &quashv1.RevokeRequest{Token: quash.Mint()}, revoked)]++
	}
	clear(by)
	for range 10 {
		by[mustRevoke(t, c, &quashv1.RevokeRequest{Token: quash.Mint()}, revoked)]++
	}
	if by[quash.Addr] != 5 || by[other.Addr] != 5 {
		t.Errorf("calls by instance: %v, want 5 each", by)
	}
}

func TestInstancesThatAreNotServingAreLeftOut(t *testing.T) {
	t.Parallel()
	healthy, unhealthy := startFake(t, nil), startFake(t, nil)
	unhealthy.health.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_NOT_SERVING)
	c := newClientOf(t, unhealthy.addr, healthy.addr)
	for range 10 {
		if by := mustRevoke(t, c, &quashv1.RevokeRequest{}, revoked); by != healthy.addr {
			t.Errorf("%s was called, which is not serving", by)
		}
	}
	unhealthy.health.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	for mustRevoke(t, c, &quashv1.RevokeRequest{}, revoked) != unhealthy.addr {
		continue
	}
}

// If quash does not answer, a request that was not sent is NOT_APPLIED, and a request that was
// sent is UNKNOWN.
func TestErrorsThatAreNotOfQuash(t *testing.T) {
	t.Parallel()
	closed := listen(t)
	closed.Close()
	for name, tt := range map[string]struct {
		addr   string
		during func(c *client.Client, f *fake, leave func()) // runs when the call has arrived; nil if it does not arrive
		token  string
		code   codes.Code
		state  quashv1.RevocationState
	}{
		"no listener":         {addr: closed.Addr().String(), code: codes.DeadlineExceeded, state: notApplied},
		"too large a request": {token: strings.Repeat("a", 100<<10), code: codes.ResourceExhausted, state: notApplied},
		"the caller leaves":   {during: func(_ *client.Client, _ *fake, leave func()) { leave() }, code: codes.Canceled, state: unknown},
		"connection lost":     {during: func(_ *client.Client, f *fake, _ func()) { f.server.Stop() }, code: codes.Unavailable, state: unknown},
		"client closed":       {during: func(c *client.Client, _ *fake, _ func()) { c.Close() }, code: codes.Canceled, state: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 1)
			f := startFake(t, func(ctx context.Context) error {
				arrived <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if tt.addr == "" {
				tt.addr = f.addr
			} else {
				ctx, leave = context.WithTimeout(ctx, 200*time.Millisecond)
				defer leave()
			}
			c := newClient(t, tt.addr, plaintext, client.WithAttempts(1))
			if tt.during != nil {
				go func() {
					<-arrived
					tt.during(c, f, leave)
				}()
			}
			failure := mustFail(ctx, t, c, &quashv1.RevokeRequest{Token: tt.token})
			if failure.Code != tt.code || failure.State != tt.state || failure.Retryable != (tt.code == codes.Unavailable) {
				t.Errorf("%+v", failure)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	withFiles := func(files client.TLSFiles) []client.Option { return []client.Option{client.WithTLS(files)} }
	for name, tt := range map[string]struct {
		target string
		opts   []client.Option
		want   string
	}{
		"no target":               {want: "target"},
		"a target that is no URI": {target: "a\x00b", want: "target"},
		"plaintext and TLS":       {"host:1", append(withFiles(client.TLSFiles{}), plaintext), "WithInsecure and WithTLS"},
		"no such authorities":     {"host:1", withFiles(client.TLSFiles{CAFile: "none.crt"}), "none.crt"},
		"no authority in there":   {"host:1", withFiles(client.TLSFiles{CAFile: "doc.go"}), "doc.go: contains no PEM certificate"},
		"a certificate alone":     {"host:1", withFiles(client.TLSFiles{CertFile: "doc.go"}), "KeyFile"},
		"no pair":                 {"host:1", withFiles(client.TLSFiles{CertFile: "doc.go", KeyFile: "tls.go"}), "doc.go and tls.go"},
	} {
		c, err := client.New(tt.target, tt.opts...)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// A program that imports the client links quash's stub, and no server code.
func TestDependencies(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const own = "github.com/quashdev/quash/"
	for path := range strings.FieldsSeq(string(output)) {
		if strings.HasPrefix(path, own) && path != own+"client" && path != own+"gen/quash/v1" {
			t.Errorf("%s is linked", path)
		}
	}
}

// fake is a server that behaves as quash never does.
type fake struct {
	quashv1.UnimplementedTokenServiceServer

	addr   string
	server *grpc.Server
	health *health.Server
	revoke func(ctx context.Context) error
}

func (f *fake) Revoke(ctx context.Context, _ *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	if f.revoke != nil {
		if err := f.revoke(ctx); err != nil {
			return nil, err
		}
	}
	return &quashv1.RevokeResponse{Outcome: revoked}, nil
}

// startFake serves until the test ends. It answers with revoke; nil means success.
func startFake(t *testing.T, revoke func(ctx context.Context) error) *fake {
	t.Helper()
	l := listen(t)
	f := &fake{addr: l.Addr().String(), server: grpc.NewServer(), health: health.NewServer(), revoke: revoke}
	f.health.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(f.server, f.health)
	quashv1.RegisterTokenServiceServer(f.server, f)
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	t.Cleanup(func() {
		f.server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// incoming returns the values of a header of the incoming call.
func incoming(ctx context.Context, name string) string {
	return strings.Join(metadata.ValueFromIncomingContext(ctx, name), ",")
}
