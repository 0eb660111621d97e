package soak

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/sandbox"
)

// The regions of the sandbox. What happens to replication happens to the remote one.
const (
	localRegion    = "us-east"
	remoteRegion   = "ap-south"
	replicationLag = 50 * time.Millisecond
)

// phase is one kind of fault, for a part of every cycle.
type phase struct {
	weight int // its share of the cycle
	// script is what happens to calls, over and over again. Less than half of it fails, or
	// the circuit breaker would keep the other calls away.
	script []sandbox.Fault
	// begin and end do what a script cannot.
	begin, end func(ctx context.Context, u *testbed.Upstream) error
}

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	proxyPage   = "<html>a proxy's page</html>"
	// stall is longer than quash waits for an answer to a call with a timeout of 1 or 2 s.
	stall = 8 * time.Second
)

// calm lets so many calls through.
func calm(calls int) sandbox.Fault { return sandbox.Fault{Count: calls} }

// phases are the faults of a cycle. Stalls come early, so that they have the time. The
// outage comes last, for it opens the circuit breaker.
var phases = []phase{
	{weight: 3}, // calm
	{ // slow
		weight: 3,
		script: []sandbox.Fault{
			{Delay: 100 * time.Millisecond, Count: 12},
			{Delay: 500 * time.Millisecond, Count: 6},
			{Delay: 2 * time.Second, Count: 2},
			{Delay: stall},
		},
	},
	{ // 5xx and 429
		weight: 5,
		script: []sandbox.Fault{
			{Status: http.StatusInternalServerError},
			calm(2),
			{Status: http.StatusServiceUnavailable, Apply: true},
			calm(2),
			{Status: http.StatusBadGateway, Body: proxyPage},
			calm(2),
			{Status: http.StatusServiceUnavailable, Headers: map[string]string{"Retry-After": "1"}},
			calm(2),
			{Status: http.StatusTooManyRequests},
			calm(1),
			{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "3600"}},
			calm(1),
		},
	},
	{ // 408 and proxies
		weight: 3,
		script: []sandbox.Fault{
			{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408},
			{Status: http.StatusRequestTimeout, Body: proxyPage},
			{Status: http.StatusBadRequest, Body: proxyPage},
			{Status: http.StatusOK, Apply: true, Body: proxyPage},
			calm(2),
		},
	},
	{ // reset
		weight: 3,
		script: []sandbox.Fault{
			{Reset: true},
			calm(2),
			{Reset: true, Apply: true},
			calm(2),
			{Reset: true, Delay: 200 * time.Millisecond},
			calm(2),
		},
	},
	{ // partition
		weight: 4,
		begin: func(_ context.Context, u *testbed.Upstream) error {
			return u.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag, Partitioned: true})
		},
		end: func(_ context.Context, u *testbed.Upstream) error {
			return u.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag})
		},
	},
	{ // outage
		weight: 8,
		begin:  func(_ context.Context, u *testbed.Upstream) error { return u.Down() },
		end:    func(ctx context.Context, u *testbed.Upstream) error { return u.Up(ctx) },
	},
	{weight: 4}, // recovery
}

// misbehave goes through all faults in a time.
func misbehave(ctx context.Context, u *testbed.Upstream, lasts time.Duration) error {
	total := 0
	for _, p := range phases {
		total += p.weight
	}
	for _, p := range phases {
		if err := p.happen(ctx, u, lasts*time.Duration(p.weight)/time.Duration(total)); err != nil {
			return err
		}
	}
	return nil
}

// happen lets the faults happen for a while, or until ctx ends.
func (p phase) happen(ctx context.Context, u *testbed.Upstream, lasts time.Duration) (err error) {
	if p.begin != nil {
		if err := p.begin(ctx, u); err != nil {
			return err
		}
	}
	if p.script != nil {
		const more = 20_000 // than there are calls in a phase
		if err := u.Script(slices.Repeat(p.script, more/len(p.script))...); err != nil {
			return err
		}
	}
	pause(ctx, lasts)
	u.ClearFaults()
	if p.end == nil {
		return nil
	}
	return p.end(context.WithoutCancel(ctx), u)
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
