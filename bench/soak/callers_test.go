package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// startLoad makes everything that calls quash, and a quash for it in this process.
func startLoad(t *testing.T) *load {
	t.Helper()
	u := startUpstream(t)
	base, err := url.Parse(u.url())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(u.authority()) {
		t.Fatal("the authority is no PEM")
	}
	client := slashid.New(slashid.Config{BaseURL: base, RootCAs: func() *x509.CertPool { return pool }})
	svc, err := service.New(service.Config{
		Upstream:       client,
		APIKey:         func() slashid.Secret { return slashid.NewSecret(sandbox.DefaultAPIKey) },
		DeadlineMargin: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), server.Config{
		Service: svc, GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		DrainTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	l, err := newLoad(&quash{grpc: s.Addrs().GRPC.String(), rest: "http://" + s.Addrs().HTTP.String()}, u, theOutcomes(t), &tally{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.close()
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		client.Close()
	})
	return l
}

// Without a fault every kind of call gets the answer that it should.
func TestEveryKindOfCall(t *testing.T) {
	t.Parallel()
	l := startLoad(t)
	var running sync.WaitGroup
	for _, k := range kinds {
		for range 8 {
			running.Go(func() {
				k.do(&caller{load: l, channel: l.channels[0], shared: quashv1.NewTokenServiceClient(l.channels[0])}, t.Context())
			})
		}
	}
	running.Wait()
	for _, complaint := range append(l.tally.complaints, l.judge.proveClaims()...) {
		t.Error(complaint)
	}
	if least := int64(8 * (len(kinds) - 1)); l.tally.calls.Load() < least {
		t.Errorf("%d calls are counted, of at least %d", l.tally.calls.Load(), least)
	}
}

// What is drawn is what a door can say, and what its origin promises.
func TestNewCall(t *testing.T) {
	t.Parallel()
	u := startUpstream(t)
	foreign, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{load: &load{upstream: u, foreign: foreign}}
	for range 300 {
		for d := range doorNames {
			made, err := c.newCall("plain call", door(d))
			if err != nil {
				t.Fatal(err)
			}
			if door(d) == overDropIn && (made.allowInvalid || !made.inHeaders) {
				t.Errorf("drop-in cannot say %+v", made)
			}
			if made.timeout < 0 || made.timeout > 3*time.Second || made.timeout%time.Second != 0 {
				t.Errorf("timeout %s", made.timeout)
			}
			if _, err := u.Revoked(made.token); (err == nil) != (made.origin == fresh) {
				t.Errorf("origin %d, but %v", made.origin, err)
			}
		}
	}
}
