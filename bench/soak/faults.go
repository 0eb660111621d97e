package soak

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/quashdev/quash/bench/testbed"
	"github.com/quashdev/quash/sandbox"
)

// The remote region gets partitioned.
const (
	remoteRegion   = "ap-south"
	replicationLag = 50 * time.Millisecond
)

const (
	envelope408 = `{"meta":{"pagination":{"limit":0,"offset":0,"total_count":0}},"errors":[{"httpcode":408,"message":"later"}]}`
	proxyPage   = "<html>a proxy's page</html>"
)

// faults are scripted one after another, each followed by three calls without a fault.
// Otherwise the circuit breaker would open and the faults would reach no calls.
var faults = []sandbox.Fault{
	{Status: http.StatusInternalServerError},
	{Status: http.StatusServiceUnavailable, Apply: true},
	{Status: http.StatusServiceUnavailable, Headers: map[string]string{"Retry-After": "3600"}},
	{Status: http.StatusBadGateway, Body: proxyPage},
	{Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "3600"}},
	{Status: http.StatusRequestTimeout, Apply: true, Body: envelope408},
	{Status: http.StatusBadRequest, Body: proxyPage},
	{Status: http.StatusOK, Apply: true, Body: proxyPage},
	{Reset: true},
	{Reset: true, Apply: true},
	{Delay: 500 * time.Millisecond},
	{Delay: 8 * time.Second}, // longer than quash waits when the timeout is 1 or 2 s
}

// misbehave causes all faults: first the scripted answers, then a partition, then an outage, and
// then it leaves time to recover.
func misbehave(ctx context.Context, t *testbed.Testbed, lasts time.Duration) error {
	script := make([]sandbox.Fault, 0, 2*len(faults))
	for _, f := range faults {
		script = append(script, f, sandbox.Fault{Count: 3})
	}
	if err := t.Script(slices.Repeat(script, rate*int(lasts.Seconds())/len(script)+1)...); err != nil {
		return err
	}
	pause(ctx, lasts*2/5)
	t.ClearFaults()

	if err := t.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag, Partitioned: true}); err != nil {
		return err
	}
	pause(ctx, lasts/5)
	if err := t.SetRegion(remoteRegion, sandbox.RegionSettings{Lag: replicationLag}); err != nil {
		return err
	}

	t.Down()
	pause(ctx, lasts/5)
	return t.Up(context.WithoutCancel(ctx))
}

// pause waits for d, or until ctx is cancelled.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
