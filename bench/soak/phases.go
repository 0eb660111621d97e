package main

import (
	"context"
	"net/http"
	"time"

	"github.com/quashdev/quash/sandbox"
)

// phase is one kind of fault, for a part of every cycle.
type phase struct {
	name   string
	colour string // in the graph
	weight int    // the share of the cycle
	// script is what happens to calls, over and over again. Failures are fewer
	// than half of it, or the circuit breaker would keep the rest away.
	script []sandbox.Fault
	// begin and end, where they are not nil, do what a script cannot.
	begin, end func(ctx context.Context, u *upstream) error
}

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	proxysPage  = "<html>a proxy's page</html>"

	// stall is longer than quash waits for an answer to a call with a timeout of a
	// second or two.
	stall = 8 * time.Second
)

// phases is a cycle. What stalls comes first, so that it has its time. The outage
// comes last: it is long enough for the circuit breaker to open, which would keep
// the calls away from the faults after it.
var phases = []phase{
	{name: "calm", colour: "#ffffff", weight: 3},
	{name: "slow", colour: "#d3e8c8", weight: 3, script: []sandbox.Fault{
		{Delay: 100 * time.Millisecond, Count: 12},
		{Delay: 500 * time.Millisecond, Count: 6},
		{Delay: 2 * time.Second, Count: 2},
		{Delay: stall},
	}},
	{name: "5xx", colour: "#f8c9c4", weight: 3, script: []sandbox.Fault{
		{Status: http.StatusInternalServerError},
		letThrough(2),
		{Status: http.StatusServiceUnavailable, Apply: true},
		letThrough(2),
		{Status: http.StatusBadGateway, Body: proxysPage},
		letThrough(2),
		{Status: http.StatusServiceUnavailable, Headers: map[string]string{"Retry-After": "1"}},
		letThrough(2),
	}},
	{name: "429", colour: "#fbe3b5", weight: 2, script: []sandbox.Fault{
		{Status: http.StatusTooManyRequests},
		{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "1"}},
		{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "3600"}},
		letThrough(1),
	}},
	{name: "408 and proxies", colour: "#f3f0b0", weight: 3, script: []sandbox.Fault{
		{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408},
		{Status: http.StatusRequestTimeout, Body: proxysPage},
		{Status: http.StatusBadRequest, Body: proxysPage},
		{Status: http.StatusOK, Apply: true, Body: proxysPage},
		letThrough(2),
	}},
	{name: "reset", colour: "#c9e4ec", weight: 3, script: []sandbox.Fault{
		{Reset: true},
		letThrough(2),
		{Reset: true, Apply: true},
		letThrough(2),
		{Reset: true, Delay: 200 * time.Millisecond},
		letThrough(2),
	}},
	{name: "partition", colour: "#cdd3f0", weight: 4, begin: partition, end: heal},
	{name: "outage", colour: "#d9d9d9", weight: 8, begin: goDown, end: comeBack},
	{name: "recovery", colour: "#f2f2f2", weight: 4},
}

// letThrough leaves so many calls alone.
func letThrough(calls int) sandbox.Fault { return sandbox.Fault{Count: calls} }

func partition(_ context.Context, u *upstream) error {
	return u.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag, Partitioned: true})
}

func heal(_ context.Context, u *upstream) error {
	return u.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag})
}

func goDown(_ context.Context, u *upstream) error { return u.down() }

func comeBack(ctx context.Context, u *upstream) error { return u.up(ctx) }

// lasts is how long the phase takes in a cycle of so much load.
func (p *phase) lasts(load time.Duration) time.Duration {
	total := 0
	for i := range phases {
		total += phases[i].weight
	}
	return load * time.Duration(p.weight) / time.Duration(total)
}

// pass lets the phase happen to u for a while, or until ctx ends. However it ends,
// the fault does.
func (p *phase) pass(ctx context.Context, u *upstream, lasts time.Duration) error {
	if p.begin != nil {
		if err := p.begin(ctx, u); err != nil {
			return err
		}
	}
	err := p.keepScripted(ctx, u, lasts)
	u.ClearFaults()
	if p.end != nil {
		if err := p.end(context.WithoutCancel(ctx), u); err != nil {
			return err
		}
	}
	return err
}

// keepScripted sees to it that the script does not run out.
func (p *phase) keepScripted(ctx context.Context, u *upstream, lasts time.Duration) error {
	over := time.NewTimer(lasts)
	defer over.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		// Far more calls than are made until the next look.
		for p.script != nil && len(u.Faults()) < 100 {
			if err := u.Script(p.script...); err != nil {
				return err
			}
		}
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}
