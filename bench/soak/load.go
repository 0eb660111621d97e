package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

const (
	callers  = 64
	channels = 4
	// maxRate is how many calls a second there are at most: what the sandbox, which
	// verifies signatures, and a shared machine bear easily.
	maxRate = 300
)

// load is everything that calls quash. It tries nothing again.
type load struct {
	quash    *quash
	upstream *upstream
	foreign  *sandbox.Sandbox
	judge    *judge
	tally    *tally

	// channels live as long as the run, as those of services do.
	channels []*grpc.ClientConn
	rest     *http.Client
}

func newLoad(q *quash, u *upstream, table []outcome, t *tally) (*load, error) {
	foreign, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return nil, err
	}
	l := &load{
		quash: q, upstream: u, foreign: foreign, tally: t,
		judge: &judge{table: table, revoked: u.Revoked},
		rest:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}},
	}
	for range channels {
		channel, err := l.open()
		if err != nil {
			return nil, err
		}
		l.channels = append(l.channels, channel)
	}
	return l, nil
}

// open makes a gRPC channel to quash.
func (l *load) open() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+l.quash.grpc,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
}

// connect sees to it that every channel has its connection, which quash may have
// ended for its age.
func (l *load) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, channel := range l.channels {
		if _, err := healthv1.NewHealthClient(channel).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			return fmt.Errorf("quash does not say that it is healthy: %w", err)
		}
	}
	return nil
}

func (l *load) close() {
	for _, channel := range l.channels {
		_ = channel.Close()
	}
	l.rest.CloseIdleConnections()
	l.foreign.Close()
}

// run makes calls until the time is over or ctx ends, and returns when the last one
// has its answer. What it leaves open are its channels.
func (l *load) run(ctx context.Context, lasts time.Duration) {
	end := time.Now().Add(lasts)
	var running sync.WaitGroup
	running.Go(func() { l.holdHalfOpen(ctx, end) })
	for i := range callers {
		c := &caller{load: l, shared: quashv1.NewTokenServiceClient(l.channels[i%channels]), channel: l.channels[i%channels]}
		running.Go(func() {
			// They begin one after another, and so go on.
			pause(ctx, time.Second*time.Duration(i)/maxRate)
			for ctx.Err() == nil && time.Now().Before(end) {
				next := time.Now().Add(time.Second * callers / maxRate)
				c.one(ctx)
				pause(ctx, time.Until(next))
			}
		})
	}
	running.Wait()
	l.rest.CloseIdleConnections()
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// mint makes a fresh token, or one that is dead.
func (l *load) mint(o origin) (string, error) {
	switch {
	case o == fresh:
		return l.upstream.Mint(sandbox.MintOptions{Container: oneIn(5)})
	case oneIn(2):
		return l.upstream.Mint(sandbox.MintOptions{Lifetime: -time.Hour})
	default:
		return l.foreign.Mint(sandbox.MintOptions{})
	}
}

// draw returns a number from 0 to n-1.
func draw(n int) int { return rand.IntN(n) } //nolint:gosec // not a secret

// oneIn is true once in n times.
func oneIn(n int) bool { return draw(n) == 0 }

// within draws a time up to most.
func within(most time.Duration) time.Duration {
	return time.Duration(draw(int(most)))
}
