package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service/server"
)

type sandboxCmd struct {
	Serve sandboxServeCmd `cmd:"" default:"withargs" help:"Run the sandbox: what quash sandbox does by itself."`
	Mint  mintCmd         `cmd:"" help:"Write fresh tokens of a running sandbox, one a line."`
}

// sandboxFlags are what a sandbox starts with; it can be changed over
// /_sandbox/ while it runs.
type sandboxFlags struct {
	Regions        []string      `default:"us-east,eu-west,ap-south" configz:"visible" help:"The sandbox's regions, the local one first."`
	ReplicationLag time.Duration `default:"200ms" configz:"visible" help:"How long the sandbox's other regions are behind the local one."`
}

// new makes the sandbox that the flags describe, or says what is wrong with
// them and with addr, where it is to be served.
func (f *sandboxFlags) new(flag, addr string, insecure bool) (*sandbox.Sandbox, []string) {
	problems := checkListener(flag, addr, insecure, "")
	if f.ReplicationLag < 0 {
		problems = append(problems, fmt.Sprintf("--replication-lag must not be negative, and is %s", f.ReplicationLag))
	}
	s, err := sandbox.New(sandbox.Config{Regions: f.Regions, ReplicationLag: max(f.ReplicationLag, 0)})
	if err != nil {
		// What is left to be wrong are the regions, each on a line.
		for line := range strings.Lines(strings.TrimPrefix(err.Error(), "sandbox: invalid configuration: ")) {
			problems = append(problems, "--regions: "+strings.TrimSpace(line))
		}
	}
	return s, problems
}

type sandboxServeCmd struct {
	Addr string `default:"127.0.0.1:8081" env:"QUASH_SANDBOX_ADDR" help:"Where to serve, host:port."`
	sandboxFlags

	Insecure bool `help:"Serve beyond loopback too."`
}

// Run serves until ctx ends.
func (c *sandboxServeCmd) Run(ctx context.Context, std streams, unreadable *usageError) error {
	s, problems := c.new("--addr", c.Addr, c.Insecure)
	if problems = append(unreadable.problems, problems...); len(problems) > 0 {
		return &usageError{problems}
	}
	withholdForeignLogs(slog.New(slog.NewTextHandler(std.err, nil)))
	bound, err := listen(ctx, s, "--addr", c.Addr)
	if err != nil {
		return err
	}
	_, greetErr := fmt.Fprintf(std.out, "sandbox of SlashID on %s, API key %s, organisation %s\n",
		bound.url(), sandbox.DefaultAPIKey, sandbox.DefaultOrgID)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if greetErr != nil {
		stop() // nobody knows where it is
	}
	return errors.Join(greetErr, bound.run(ctx))
}

// boundSandbox is a sandbox with its listener. run must be called, also to
// release it.
type boundSandbox struct {
	*sandbox.Sandbox
	listener net.Listener
}

func listen(ctx context.Context, s *sandbox.Sandbox, flag, addr string) (*boundSandbox, error) {
	listener, err := server.Listen(ctx, flag, addr)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &boundSandbox{s, listener}, nil
}

func (s *boundSandbox) url() string { return "http://" + s.listener.Addr().String() }

// run serves until ctx ends, and then ends every waiting call.
func (s *boundSandbox) run(ctx context.Context) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	httpServer := &http.Server{Handler: s, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.Close()
		// Nothing waits any more, so this takes no time worth bounding.
		_ = httpServer.Shutdown(context.WithoutCancel(ctx))
	})
	err := httpServer.Serve(s.listener)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		s.Close()
		return fmt.Errorf("serve the sandbox: %w", err)
	}
	<-stopped
	return nil
}
