// Package quashtest runs a whole quash inside the test process: gRPC, REST and admin on
// loopback.
//
//	quashtest.go  runs a quash in front of a SlashID sandbox or another upstream
//	ask.go        calls its endpoints, and names the answers
package quashtest

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

// Quash is a running quash.
type Quash struct {
	// Addr is host:port of gRPC. URL and AdminURL are base URLs.
	Addr, URL, AdminURL string
	// Conn and HTTP connect to a quash that serves plaintext.
	Conn *grpc.ClientConn
	HTTP *http.Client
	// Sandbox is the upstream of a quash that Start or InFrontOf has started.
	Sandbox *sandbox.Server

	tb      sandbox.TB
	cancel  context.CancelFunc
	ended   func() error
	stopped bool
}

// Start runs a quash in front of a new sandbox until the test ends.
func Start(tb sandbox.TB, configure ...func(*server.Config)) *Quash {
	tb.Helper()
	return InFrontOf(tb, sandbox.Start(tb, sandbox.Config{}), configure...)
}

// InFrontOf runs a quash in front of an existing sandbox until the test ends.
func InFrontOf(tb sandbox.TB, s *sandbox.Server, configure ...func(*server.Config)) *Quash {
	tb.Helper()
	base, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatalf("the sandbox's URL: %v", err)
	}
	upstream := slashid.New(slashid.Config{BaseURL: base})
	tb.Cleanup(upstream.Close)
	q := Serve(tb, upstream, func(_ *service.Config, cfg *server.Config) {
		for _, c := range configure {
			c(cfg)
		}
	})
	q.Sandbox = s
	return q
}

// Serve runs a quash in front of any upstream until the test ends. Its API key is the default
// API key of the sandbox.
func Serve(tb sandbox.TB, upstream service.Upstream, configure ...func(*service.Config, *server.Config)) *Quash {
	tb.Helper()
	svcCfg := service.Config{
		Upstream:       upstream,
		APIKey:         func() slashid.Secret { return slashid.NewSecret(sandbox.DefaultAPIKey) },
		DeadlineMargin: 20 * time.Millisecond,
	}
	cfg := server.Config{
		GRPCAddr:     "127.0.0.1:0",
		HTTPAddr:     "127.0.0.1:0",
		AdminAddr:    "127.0.0.1:0",
		DrainTimeout: time.Minute,
		Logger:       slog.New(slog.DiscardHandler),
		LogLevel:     new(slog.LevelVar),
	}
	for _, c := range configure {
		c(&svcCfg, &cfg)
	}
	svcCfg.Logger = cfg.Logger
	svc, err := service.New(svcCfg)
	if err != nil {
		tb.Fatalf("building the service: %v", err)
	}
	if cfg.Service == nil {
		cfg.Service = svc
	}
	serving, err := server.New(context.Background(), cfg)
	if err != nil {
		tb.Fatalf("binding the listeners: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serving.Run(ctx) }()
	addrs := serving.Addrs()
	q := &Quash{
		Addr:     addrs.GRPC.String(),
		URL:      "http://" + addrs.HTTP.String(),
		AdminURL: "http://" + addrs.Admin.String(),
		HTTP:     &http.Client{Transport: &http.Transport{}},
		tb:       tb,
		cancel:   cancel,
		ended:    sync.OnceValue(func() error { return <-ended }),
	}
	tb.Cleanup(func() {
		if !q.stopped {
			q.Stop()
		}
	})
	tb.Cleanup(q.HTTP.CloseIdleConnections)
	q.Conn, err = grpc.NewClient(q.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatalf("connecting to quash: %v", err)
	}
	tb.Cleanup(func() { _ = q.Conn.Close() })
	return q
}

// Shutdown ends quash like SIGTERM does, and returns the result of Run.
func (q *Quash) Shutdown() error {
	q.stopped = true
	q.cancel()
	return q.ended()
}

// Stop ends quash like SIGTERM does. The test fails if a call was cut off.
func (q *Quash) Stop() {
	q.tb.Helper()
	if err := q.Shutdown(); err != nil {
		q.tb.Fatalf("running quash: %v", err)
	}
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
