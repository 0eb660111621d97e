package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/quashdev/quash/bench/measure"
	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/internal/proctest"
	"github.com/quashdev/quash/sandbox"
)

const (
	callers  = 64
	channels = 4
	// maxRate is calls a second: what the sandbox, which verifies signatures, and a shared
	// machine bear easily.
	maxRate = 300
)

// client is how calls reach quash.
type client struct {
	channel *grpc.ClientConn
	http    *http.Transport
	rest    string // base URL
}

func newClient(addrs proctest.Addrs, transport *http.Transport) (*client, error) {
	channel, err := grpc.NewClient("passthrough:///"+addrs.GRPC,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	return &client{channel, transport, "http://" + addrs.HTTP}, err
}

// load is everything that calls quash. It tries nothing again.
type load struct {
	addrs    proctest.Addrs
	upstream *testbed.Upstream
	clients  []*client // they live as long as the run, as those of services do
	http     *http.Transport
	judge    judge
	tally    tally
}

func newLoad(addrs proctest.Addrs, u *testbed.Upstream) (*load, error) {
	l := &load{addrs: addrs, upstream: u, http: &http.Transport{MaxIdleConnsPerHost: callers}}
	l.judge.revoked = u.Revoked
	for range channels {
		c, err := newClient(addrs, l.http)
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

// connect sees to it that every channel has its connection: quash may have closed one
// because of its age.
func (l *load) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, c := range l.clients {
		if _, err := healthv1.NewHealthClient(c.channel).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			return fmt.Errorf("quash does not say that it is healthy: %w", err)
		}
	}
	return nil
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = c.channel.Close()
	}
	l.http.CloseIdleConnections()
}

// run makes calls until the time is over or ctx ends, and returns when the last one has
// its answer. Only the channels stay open.
func (l *load) run(ctx context.Context, lasts time.Duration) {
	end := time.Now().Add(lasts)
	var running sync.WaitGroup
	running.Go(func() { l.holdHalfOpen(ctx, end) })
	for i := range callers {
		running.Go(func() {
			pause(ctx, time.Second*time.Duration(i)/maxRate) // they begin one after another, and stay apart
			for ctx.Err() == nil && time.Now().Before(end) {
				next := time.Now().Add(time.Second * callers / maxRate)
				if err := l.one(ctx, l.clients[i%channels]); err != nil {
					l.tally.complain(err.Error())
				}
				pause(ctx, time.Until(next))
			}
		})
	}
	running.Wait()
	l.http.CloseIdleConnections()
}

// one makes a call whose properties are drawn, and sometimes repeats it.
func (l *load) one(ctx context.Context, shared *client) (err error) {
	c := &call{
		transport:  transport(rand.IntN(len(transports))), //nolint:gosec // not a secret
		malformed:  oneIn(12),
		allRegions: oneIn(3),
	}
	if c.token, err = l.upstream.Mint(sandbox.MintOptions{Container: oneIn(5)}); err != nil {
		return fmt.Errorf("mint a token: %w", err)
	}
	if c.malformed {
		c.token = strings.Repeat("not a token ", 1+within(5000)) // up to 60 KB: gRPC itself rejects more than 64
	}
	if c.allRegions || oneIn(3) {
		c.timeout = time.Duration(1+within(3)) * time.Second
	}
	c.allowInvalid = c.transport != dropIn && oneIn(2)
	if c.transport == overGRPC && oneIn(6) {
		c.deadline = 5*time.Millisecond + within(500*time.Millisecond) // some are too short
	}
	if oneIn(5) {
		c.leaves = 1 + within(300*time.Millisecond)
	}
	to := shared
	if oneIn(8) { // a connection of its own
		if to, err = newClient(l.addrs, &http.Transport{DisableKeepAlives: true}); err != nil {
			return err
		}
		defer func() { _ = to.channel.Close() }()
	}
	a := l.askAndJudge(ctx, c, to)
	if a.outcome != "" && oneIn(8) {
		again := *c
		again.repeated = true
		l.askAndJudge(ctx, &again, to)
	}
	return nil
}

func (l *load) askAndJudge(ctx context.Context, c *call, to *client) answer {
	a := c.ask(ctx, to)
	if ctx.Err() != nil {
		return answer{} // the run itself ended the call
	}
	l.tally.count(c.transport, a)
	if wrong := l.judge.wrong(c, a); wrong != "" {
		l.tally.complain(fmt.Sprintf("%s: %s: %s", c, a.label(), wrong))
	}
	return a
}

func oneIn(n int) bool { return rand.IntN(n) == 0 } //nolint:gosec // not a secret

// within draws a number from 0 to most-1.
func within[N ~int | ~int64](most N) N { return N(rand.Int64N(int64(most))) } //nolint:gosec // not a secret

// tally counts answers. The zero value is ready.
type tally struct {
	mu         sync.Mutex
	answers    map[string]*[len(transports)]int // by label
	complaints []string                         // what must not have happened
}

func (t *tally) count(over transport, a answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers == nil {
		t.answers = map[string]*[len(transports)]int{}
	}
	if t.answers[a.label()] == nil {
		t.answers[a.label()] = &[len(transports)]int{}
	}
	t.answers[a.label()][over]++
}

func (t *tally) complain(complaint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.complaints = append(t.complaints, complaint)
}

func (t *tally) calls() (sum int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, counts := range t.answers {
		for _, n := range counts {
			sum += n
		}
	}
	return sum
}

func (t *tally) wrong() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.complaints) > 0
}

// verdict returns what must not have happened. If nothing was wrong, it is an error that
// no call failed for some reason that the faults should lead to: what was not reached was
// not tested.
func (t *tally) verdict() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.complaints); n > 0 {
		return fmt.Errorf("%d answers were wrong, the first of them:\n  %s", n, strings.Join(t.complaints[:min(n, 20)], "\n  "))
	}
	met := map[string]bool{}
	for label := range t.answers {
		reason, _, _ := strings.Cut(label, " ")
		met[reason] = true
	}
	missing := slices.DeleteFunc(slices.Clone(always), func(reason string) bool { return met[reason] })
	if len(missing) > 0 {
		return fmt.Errorf("the load is not what it should be: no call failed for %s", strings.Join(missing, ", "))
	}
	return nil
}

func (t *tally) table() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	table := measure.NewTable(append([]string{"answer"}, transports[:]...)...)
	for _, label := range slices.Sorted(maps.Keys(t.answers)) {
		row := []string{label}
		for _, n := range t.answers[label] {
			row = append(row, strconv.Itoa(n))
		}
		table.Add(row...)
	}
	return table.String()
}
