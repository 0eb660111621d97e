package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // asks the replicas how they are
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

// gone is for callers who are not there any more, whatever door they came by. Upstream
// calls are told apart by that and by their doors, as versions of an SDK.
const gone = "gone"

const (
	// A call begins every pace, as long as there are not more than crowd in progress.
	pace  = 5 * time.Millisecond
	crowd = 500
)

// callers call all replicas, by every door, until they are told to end.
type callers struct {
	slashid  *sandbox.Server
	resolver *manual.Resolver
	conn     *grpc.ClientConn
	balancer *balancer

	answers *tally // by the address that gave them and the door
	ending  chan struct{}
	once    sync.Once
	calls   sync.WaitGroup

	mu   sync.Mutex
	made []*madeCall
}

// stateOK is the state of a call that succeeded.
const stateOK = "OK"

// madeCall is a revocation to be made, and then what became of it.
type madeCall struct {
	door, token string
	allRegions  bool
	newcomer    bool // whose caller has no connection yet

	attempts atomic.Int32
	by       string // the address that gave the last answer
	// state is OK, the name of a RevocationState, or nothing when there was no answer.
	state   string
	failure string
}

// serviceConfig is what a careful owner of an internal client sets: replicas that
// say that they are not serving are left alone, and calls that say that they may be
// repeated are. quash says of each error whether and when, in the trailer
// grpc-retry-pushback-ms.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "quash.v1.TokenService"},
	"methodConfig": [{
		"name": [{"service": "quash.v1.TokenService"}],
		"waitForReady": true,
		"retryPolicy": {
			"maxAttempts": 5,
			"initialBackoff": "0.01s", "maxBackoff": "0.1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

func newCallers(t *testing.T, slashid *sandbox.Server) *callers {
	t.Helper()
	c := &callers{
		slashid:  slashid,
		resolver: manual.NewBuilderWithScheme("replicas"),
		balancer: newBalancer(),
		answers:  newTally(),
		ending:   make(chan struct{}),
	}
	conn, err := grpc.NewClient("replicas:///",
		grpc.WithResolvers(c.resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithStatsHandler(countAttempts{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	t.Cleanup(func() {
		_ = conn.Close()
		c.balancer.close()
	})
	return c
}

// use makes the replicas those that calls go to.
func (c *callers) use(replicas []*replica) {
	var state resolver.State
	for _, r := range replicas {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: r.grpcAddr}}})
	}
	c.resolver.UpdateState(state)
	c.balancer.set(replicas)
}

// begin makes calls until end: by each door in turn, every other one for all regions.
func (c *callers) begin(ctx context.Context, t *testing.T) {
	t.Helper()
	var inProgress atomic.Int32
	c.calls.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-c.ending:
				return
			case <-ctx.Done():
				return
			}
			if inProgress.Load() == crowd {
				continue
			}
			made := &madeCall{door: doors[i%len(doors)], token: c.mint(t), allRegions: i/len(doors)%2 == 0, newcomer: i%5 == 0}
			c.mu.Lock()
			c.made = append(c.made, made)
			c.mu.Unlock()
			inProgress.Add(1)
			c.calls.Go(func() {
				defer inProgress.Add(-1)
				c.make(ctx, made)
				c.answers.add(made.by+" "+made.door, 1)
			})
		}
	})
	t.Cleanup(c.end)
}

// end returns once every call has ended.
func (c *callers) end() {
	c.once.Do(func() { close(c.ending) })
	c.calls.Wait()
}

func (c *callers) make(ctx context.Context, made *madeCall) {
	// Far more than any call takes: one that hangs runs into it.
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if made.door != doorGRPC {
		c.balancer.make(ctx, made)
		return
	}
	var from peer.Peer
	_, err := quashv1.NewTokenServiceClient(c.conn).Revoke(
		context.WithValue(made.outgoing(ctx), attemptsKey{}, &made.attempts), made.request(), grpc.Peer(&from))
	if from.Addr != nil {
		made.by = from.Addr.String()
	}
	if err == nil {
		made.state = stateOK
		return
	}
	made.failure = err.Error()
	for _, detail := range status.Convert(err).Details() {
		if failure, ok := detail.(*quashv1.RevokeFailure); ok {
			made.state = strings.TrimPrefix(failure.GetState().String(), "REVOCATION_STATE_")
		}
	}
}

func (c *madeCall) consistency() quashv1.Consistency {
	if c.allRegions {
		return quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	return quashv1.Consistency_CONSISTENCY_LOCAL_REGION
}

func (c *madeCall) request() *quashv1.RevokeRequest {
	return &quashv1.RevokeRequest{Token: c.token, Consistency: c.consistency()}
}

func (c *madeCall) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "slashid-sdkversion", c.door)
}

// countAttempts counts how often a gRPC call is tried.
type countAttempts struct{}

type attemptsKey struct{}

func (countAttempts) HandleRPC(ctx context.Context, s stats.RPCStats) {
	n, ok := ctx.Value(attemptsKey{}).(*atomic.Int32)
	if _, begin := s.(*stats.Begin); ok && begin {
		n.Add(1)
	}
}

func (countAttempts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (countAttempts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (countAttempts) HandleConn(context.Context, stats.ConnStats) {}

func (c *callers) mint(t *testing.T) string {
	t.Helper()
	token, err := c.slashid.Mint(sandbox.MintOptions{})
	if err != nil {
		t.Error(err)
	}
	return token
}

// awaitAnswers waits until a replica has answered calls by every door.
func (c *callers) awaitAnswers(ctx context.Context, t *testing.T, r *replica) {
	t.Helper()
	c.answers.await(ctx, t, func(n map[string]int) bool {
		return n[r.grpcAddr+" "+doorGRPC] > 0 && n[r.httpAddr+" "+doorNative] > 0 && n[r.httpAddr+" "+doorDropIn] > 0
	})
}

// revoked tells whether a token is dead in all regions, or in any.
func (c *callers) revoked(t *testing.T, token string) (everywhere, anywhere bool) {
	t.Helper()
	regions, err := c.slashid.Revoked(token)
	if err != nil {
		t.Error(err)
	}
	everywhere = true
	for _, applied := range regions {
		everywhere = everywhere && applied
		anywhere = anywhere || applied
	}
	return everywhere, anywhere
}

// account checks what the callers were told against what is true.
func (c *callers) account(t *testing.T) {
	t.Helper()
	lost, refused := 0, 0
	total := map[string]*struct{ calls, ok, retried int }{}
	for _, door := range doors {
		total[door] = new(struct{ calls, ok, retried int })
	}
	for _, made := range c.made {
		n := total[made.door]
		n.calls++
		if made.attempts.Load() > 1 {
			n.retried++
		}
		everywhere, anywhere := c.revoked(t, made.token)
		switch {
		case made.state == stateOK && (everywhere || anywhere && !made.allRegions):
			n.ok++
		case made.state == "NOT_APPLIED" && !anywhere:
			refused++
			t.Errorf("%s: refused after %d attempts: %s", made.door, made.attempts.Load(), made.failure)
		default:
			lost++
			t.Errorf("%s: told %q after %d attempts, revoked everywhere %t, anywhere %t: %s",
				made.door, made.state, made.attempts.Load(), everywhere, anywhere, made.failure)
		}
	}
	for _, door := range doors {
		n := total[door]
		t.Logf("%s: %d calls, %d OK, %d of them after a retry", door, n.calls, n.ok, n.retried)
	}
	t.Logf("lost: %d, refused: %d", lost, refused)
}
