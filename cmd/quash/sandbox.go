package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

type sandboxCmd struct {
	Serve sandboxServeCmd `cmd:"" default:"withargs" help:"Run the SlashID sandbox. This is the default of quash sandbox."`
	Mint  mintCmd         `cmd:"" help:"Print new tokens of a running sandbox, one per line."`
}

// sandboxFlags configure a sandbox at its start. Requests to /_sandbox/ change a running one.
type sandboxFlags struct {
	Regions        []string      `default:"us-east,eu-west,ap-south" help:"Regions of the sandbox. The first one is the local region."`
	ReplicationLag time.Duration `default:"200ms" help:"Replication lag of the sandbox's other regions."`
}

// newSandbox returns a sandbox with the settings of the flags, and checks its listen address.
func (f *sandboxFlags) newSandbox(wrong *usageError, flag, addr string, insecure bool) *sandbox.Sandbox {
	checkListener(wrong, flag, addr, insecure, "")
	checkAtLeast(wrong, "--replication-lag", f.ReplicationLag, 0)
	s, err := sandbox.New(sandbox.Config{Regions: f.Regions, ReplicationLag: max(f.ReplicationLag, 0)})
	if err != nil { // the regions are wrong: one problem per line
		for line := range strings.Lines(strings.TrimPrefix(err.Error(), "sandbox: invalid configuration: ")) {
			wrong.addf("--regions: %s", strings.TrimSpace(line))
		}
	}
	return s
}

type sandboxServeCmd struct {
	Addr string `default:"127.0.0.1:8081" env:"QUASH_SANDBOX_ADDR" help:"Listen address, host:port."`
	sandboxFlags

	Insecure bool `help:"Allow a listen address beyond loopback. The sandbox serves plaintext."`
}

// Run serves until ctx ends.
func (c *sandboxServeCmd) Run(ctx context.Context, std streams) error {
	var wrong usageError
	s := c.newSandbox(&wrong, "--addr", c.Addr, c.Insecure)
	if err := wrong.err(); err != nil {
		return err
	}
	listener, err := server.Listen(ctx, "--addr", c.Addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(std.out, "sandbox of SlashID on http://%s, API key %s, organisation %s\n",
		listener.Addr(), sandbox.DefaultAPIKey, sandbox.DefaultOrgID); err != nil {
		return errors.Join(err, listener.Close())
	}
	return serveSandbox(ctx, s, listener)
}

// serveSandbox serves until ctx ends. Then it answers every waiting call.
func serveSandbox(ctx context.Context, s *sandbox.Sandbox, listener net.Listener) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	httpServer := &http.Server{Handler: s, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.Close()
		// No call is waiting, so this returns at once and needs no timeout.
		_ = httpServer.Shutdown(context.WithoutCancel(ctx))
	})
	if err := httpServer.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the sandbox: %w", err)
	}
	<-stopped
	return nil
}

type mintCmd struct {
	Addr  string `default:"http://127.0.0.1:8081" env:"-" help:"Base URL of the sandbox."`
	Count int    `default:"1" env:"-" help:"Number of tokens, at least 1."`
}

// Run writes the tokens to standard output.
func (c *mintCmd) Run(ctx context.Context, std streams) error {
	var wrong usageError
	base, err := slashid.ParseBaseURL(c.Addr)
	if err != nil {
		wrong.addf("--addr: %s; an example is http://127.0.0.1:8081", err)
	}
	checkAtLeast(&wrong, "--count", c.Count, 1)
	if err := wrong.err(); err != nil {
		return err
	}
	tokens := base.JoinPath("/_sandbox/tokens")
	tokens.RawQuery = url.Values{"count": {strconv.Itoa(c.Count)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokens.String(), nil)
	if err != nil {
		return fmt.Errorf("build the request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach the sandbox: %w", errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: is it a sandbox?", base, resp.Status)
	}
	if _, err := io.Copy(std.out, resp.Body); err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	return nil
}
