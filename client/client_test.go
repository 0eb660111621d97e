package client_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/types/known/durationpb"

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
	inProgress     = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
)

// newClient returns a client in plaintext until the test ends.
func newClient(t *testing.T, target string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(target, append([]client.Option{client.WithInsecure()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// to is for the client of all of the addresses, as a name resolves to many.
func to(addrs ...string) (target string, opt client.Option) {
	r := manual.NewBuilderWithScheme("test")
	var state resolver.State
	for _, addr := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	r.InitialState(state)
	return "test:///quash", client.WithDialOptions(grpc.WithResolvers(r))
}

// mustRevoke returns which instance has revoked the token.
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

// mustFail returns what the error of a call says.
func mustFail(t *testing.T, c *client.Client, req *quashv1.RevokeRequest) *client.FailureInfo {
	t.Helper()
	resp, err := c.Revoke(t.Context(), req)
	failure, ok := client.Failure(err)
	if !ok {
		t.Fatalf("answered with %v, %v", resp, err)
	}
	return failure
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	c := newClient(t, quash.Addr)
	req := &quashv1.RevokeRequest{Token: quash.Mint()}
	mustRevoke(t, c, req, revoked)

	failure := mustFail(t, c, req)
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_TOKEN_REJECTED ||
		failure.State != notApplied || failure.CorrelationID == "" || failure.UpstreamStatus != 400 {
		t.Errorf("%+v", failure)
	}

	req.AllowInvalid = true
	mustRevoke(t, c, req, alreadyInvalid)
}

func TestInvalidRequest(t *testing.T) {
	t.Parallel()
	c := newClient(t, quashtest.Start(t).Addr)
	failure := mustFail(t, c, &quashv1.RevokeRequest{Timeout: durationpb.New(time.Hour)})
	if failure.Reason != quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST || failure.State != notApplied || len(failure.Violations) != 2 {
		t.Errorf("%+v", failure)
	}
}

func TestInProgress(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	if err := quash.Sandbox.SetRegion("ap-south", sandbox.RegionSettings{Partitioned: true}); err != nil {
		t.Fatal(err)
	}
	failure := mustFail(t, newClient(t, quash.Addr), &quashv1.RevokeRequest{
		Token:       quash.Mint(),
		Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:     durationpb.New(time.Second),
	})
	if failure.Code != codes.DeadlineExceeded || failure.State != inProgress || failure.Retryable || failure.Timeout != time.Second {
		t.Errorf("%+v", failure)
	}
}

// SlashID revokes the token and says that it is unavailable, however often quash asks.
// The client asks quash again, and now the token is invalid: by this very call.
func TestRepetitionAfterARevocationThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	if err := quash.Sandbox.Script(sandbox.Fault{Apply: true, Status: 503}, sandbox.Fault{Status: 503, Count: 2}); err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, newClient(t, quash.Addr), &quashv1.RevokeRequest{Token: quash.Mint()}, alreadyInvalid)

	if err := quash.Sandbox.Script(sandbox.Fault{Apply: true, Status: 503}, sandbox.Fault{Status: 503, Count: 2}); err != nil {
		t.Fatal(err)
	}
	once := newClient(t, quash.Addr, client.WithAttempts(1))
	failure := mustFail(t, once, &quashv1.RevokeRequest{Token: quash.Mint()})
	if failure.State != unknown || failure.Attempts != 3 || !failure.Retryable || failure.RetryDelay != time.Second {
		t.Errorf("%+v", failure)
	}
}

func TestRequestsThatAreTooLargeAreNotSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, quashtest.Start(t).Addr)
	failure := mustFail(t, c, &quashv1.RevokeRequest{Token: strings.Repeat("a", 100<<10)})
	if failure.Code != codes.ResourceExhausted || failure.State != notApplied || failure.Retryable {
		t.Errorf("%+v", failure)
	}
}

func TestCallsAreSpreadOverAllInstances(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	other := quashtest.InFrontOf(t, quash.Sandbox)
	target, opt := to(quash.Addr, other.Addr)
	c := newClient(t, target, opt)
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

// No call of a client notices that an instance shuts down.
func TestInstancesThatShutDown(t *testing.T) {
	t.Parallel()
	quash := quashtest.Start(t)
	leaving := quashtest.InFrontOf(t, quash.Sandbox)
	target, opt := to(quash.Addr, leaving.Addr)
	c := newClient(t, target, opt)
	for mustRevoke(t, c, &quashv1.RevokeRequest{Token: quash.Mint()}, revoked) != leaving.Addr {
		continue
	}
	var tokens, dead atomic.Int64
	gone := make(chan struct{})
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for over := false; !over; {
				select {
				case <-gone:
					over = true // after one more call
				default:
				}
				token := quash.Mint()
				tokens.Add(1)
				resp, err := c.Revoke(t.Context(), &quashv1.RevokeRequest{Token: token})
				if err != nil || resp.GetOutcome() != revoked {
					t.Errorf("%v, %v", resp, err)
				}
				if in, err := quash.Sandbox.Revoked(token); err == nil && in["us-east"] {
					dead.Add(1)
				}
			}
		})
	}
	leaving.Stop()
	close(gone)
	calls.Wait()
	if tokens, dead := tokens.Load(), dead.Load(); dead != tokens {
		t.Errorf("%d of %d tokens are dead", dead, tokens)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	healthy, unhealthy := startFake(t), startFake(t)
	unhealthy.health.SetServingStatus(quashv1.TokenService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_NOT_SERVING)
	target, opt := to(unhealthy.addr, healthy.addr)
	c := newClient(t, target, opt)
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

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target string
		opts   []client.Option
		want   string
	}{
		"no target":             {want: "target"},
		"a scheme of nobody's":  {target: "a\x00b", want: "target"},
		"plaintext, and TLS":    {"host:1", []client.Option{client.WithInsecure(), client.WithTLS(client.TLSFiles{})}, "WithInsecure and WithTLS"},
		"no such authorities":   {"host:1", []client.Option{client.WithTLS(client.TLSFiles{CAFile: "none.crt"})}, "none.crt"},
		"no authority in there": {"host:1", []client.Option{client.WithTLS(client.TLSFiles{CAFile: "doc.go"})}, "doc.go: no certificate"},
		"a certificate alone":   {"host:1", []client.Option{client.WithTLS(client.TLSFiles{CertFile: "doc.go"})}, "key"},
		"no pair":               {"host:1", []client.Option{client.WithTLS(client.TLSFiles{CertFile: "doc.go", KeyFile: "tls.go"})}, "doc.go and tls.go"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := client.New(test.target, test.opts...)
			if err == nil {
				_ = c.Close()
				t.Fatal("taken")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v: nothing of %q", err, test.want)
			}
		})
	}
}
