package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"text/template"

	"github.com/quashdev/quash/sandbox"
	"github.com/quashdev/quash/service/server"
	"github.com/quashdev/quash/service/slashid"
)

type devCmd struct {
	SandboxAddr string `name:"sandbox-addr" default:"127.0.0.1:8081" help:"Listen address for the embedded sandbox, host:port."`
	sandboxFlags
	serverFlags `embed:"" set:"host=127.0.0.1" set:"drain_delay=0s" set:"reflection=true" set:"docs=true" set:"log_format=text"`
}

// Run serves quash and the embedded sandbox until ctx ends.
func (c *devCmd) Run(ctx context.Context, std streams, settings configz) error {
	p := parts{settings: settings}
	upstream := c.newSandbox(&p.wrong, "--sandbox-addr", c.SandboxAddr, c.Insecure)
	c.check(&p.wrong)
	p.access = c.access(&p.files)
	if err := p.wrong.err(); err != nil {
		return err
	}
	listener, err := server.Listen(ctx, "--sandbox-addr", c.SandboxAddr)
	if err != nil {
		return err
	}
	p.upstream.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	p.apiKey = func() slashid.Secret { return slashid.NewSecret(sandbox.DefaultAPIKey) }
	facade, err := c.newFacade(ctx, std, p)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := c.greet(std.out, upstream, listener.Addr(), facade.Addrs()); err != nil {
		facade.Close() //nolint:contextcheck // ends telemetry in a context of its own
		return errors.Join(err, listener.Close())
	}
	// The sandbox ends last: calls in flight at shutdown need it.
	sandboxCtx, stopSandbox := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stopFacade := context.WithCancel(ctx)
	sandboxDone := make(chan error, 1)
	go func() {
		defer stopFacade()
		sandboxDone <- serveSandbox(sandboxCtx, upstream, listener)
	}()
	err = facade.Run(ctx)
	stopSandbox()
	return errors.Join(err, <-sandboxDone)
}

// greeting contains shell commands that a user can paste. They pass tokens on standard input,
// because arguments show in the process list, and users copy the habit from here.
var greeting = template.Must(template.New("greeting").Parse(`quash with an embedded SlashID sandbox

  gRPC     {{.GRPC}}
  REST     {{.HTTP}}
  admin    {{.Admin}}
  sandbox  {{.Sandbox}}

Revoke a token over SlashID's REST API. Run it twice to see the 400:

  printf '{"token":"%s"}' '{{index .Tokens 0}}' |
    curl -i{{.CurlFlags}} {{.HTTP}}/token/revoke -H 'Content-Type: application/json' -d @-

Revoke a token over quash's native REST API:

  printf '{"token":"%s","consistency":"CONSISTENCY_ALL_REGIONS"}' '{{index .Tokens 1}}' |
    curl -i{{.CurlFlags}} {{.HTTP}}/v1/tokens:revoke -H 'Content-Type: application/json' -d @-

Revoke a token over gRPC, with a lagging region. SlashID's 408 becomes DEADLINE_EXCEEDED:

  curl -X PUT {{.Sandbox}}/_sandbox/regions/{{.Remote}} -d '{"lag":"5s"}'
  printf '{"token":"%s","consistency":"CONSISTENCY_ALL_REGIONS","timeout":"1s"}' '{{index .Tokens 2}}' |
    grpcurl {{.GRPCurlFlags}} -d @ {{.GRPC}} quash.v1.TokenService/Revoke

{{if .Docs}}In a browser:  {{.HTTP}}/docs
{{end}}More tokens:   curl -X POST '{{.Sandbox}}/_sandbox/tokens?count=3'
Revocations:   curl {{.Sandbox}}/_sandbox/revocations
Stop:          Ctrl-C

`))

// greet writes the addresses, and commands to paste.
func (c *devCmd) greet(w io.Writer, upstream *sandbox.Sandbox, sandboxAddr net.Addr, addrs server.Addrs) error {
	rest, admin, curlFlags, grpcurlFlags := "http", "http", "", "-plaintext"
	if c.enabled() {
		rest, curlFlags, grpcurlFlags = "https", " --cacert CA.pem", "-cacert CA.pem"
		if c.ClientCAFile != "" {
			curlFlags += " --cert CERT.pem --key KEY.pem"
			grpcurlFlags += " -cert CERT.pem -key KEY.pem"
		}
		if !isLoopback(c.AdminAddr) {
			admin = "https"
		}
	}
	tokens := make([]string, 3)
	for i := range tokens {
		token, err := upstream.Mint(sandbox.MintOptions{})
		if err != nil {
			return err
		}
		tokens[i] = token
	}
	regions := upstream.Regions()
	return greeting.Execute(w, map[string]any{
		"GRPC":         addrs.GRPC,
		"HTTP":         rest + "://" + addrs.HTTP.String(),
		"Admin":        admin + "://" + addrs.Admin.String(),
		"Sandbox":      "http://" + sandboxAddr.String(),
		"Remote":       regions[len(regions)-1].Name,
		"Tokens":       tokens,
		"Docs":         c.Docs,
		"CurlFlags":    curlFlags,
		"GRPCurlFlags": grpcurlFlags,
	})
}
