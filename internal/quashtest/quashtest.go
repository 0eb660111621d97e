// Package quashtest runs a whole quash for tests of those who call it: gRPC and REST on
// loopback, in front of a sandbox of SlashID.
package quashtest

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// Quash is one that runs.
type Quash struct {
	// Addr is host:port of gRPC, URL the base URL of REST.
	Addr, URL string
	// Sandbox is what is revoked in.
	Sandbox *sandbox.Server
	// Stop ends it as a signal would, and returns once it has ended.
	Stop func()

	tb sandbox.TB
}

// Start runs a quash in front of a sandbox of its own until the test ends.
func Start(tb sandbox.TB, configure ...func(*server.Config)) *Quash {
	tb.Helper()
	return InFrontOf(tb, sandbox.Start(tb, sandbox.Config{}), configure...)
}

// InFrontOf does the same in front of a sandbox that there is.
func InFrontOf(tb sandbox.TB, s *sandbox.Server, configure ...func(*server.Config)) *Quash {
	tb.Helper()
	base, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatalf("the sandbox's URL: %v", err)
	}
	upstream := slashid.New(slashid.Config{BaseURL: base})
	tb.Cleanup(upstream.Close)
	svc, err := service.New(service.Config{
		Upstream:       upstream,
		APIKey:         func() slashid.Secret { return slashid.NewSecret(sandbox.DefaultAPIKey) },
		DeadlineMargin: 20 * time.Millisecond,
	})
	if err != nil {
		tb.Fatalf("building the service: %v", err)
	}
	cfg := server.Config{
		Service:      svc,
		GRPCAddr:     "127.0.0.1:0",
		HTTPAddr:     "127.0.0.1:0",
		AdminAddr:    "127.0.0.1:0",
		DrainTimeout: time.Minute,
		Logger:       slog.New(slog.DiscardHandler),
		LogLevel:     new(slog.LevelVar),
	}
	for _, c := range configure {
		c(&cfg)
	}
	serving, err := server.New(context.Background(), cfg)
	if err != nil {
		tb.Fatalf("binding the listeners: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serving.Run(ctx) }()
	addrs := serving.Addrs()
	q := &Quash{Addr: addrs.GRPC.String(), URL: "http://" + addrs.HTTP.String(), Sandbox: s, tb: tb}
	stopped := false
	q.Stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			tb.Fatalf("running quash: %v", err)
		}
	}
	tb.Cleanup(q.Stop)
	return q
}

// Mint returns a token that can be revoked.
func (q *Quash) Mint() string {
	q.tb.Helper()
	token, err := q.Sandbox.Mint(sandbox.MintOptions{})
	if err != nil {
		q.tb.Fatalf("%v", err)
	}
	return token
}
