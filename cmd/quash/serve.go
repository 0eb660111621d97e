package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/quashdev/quash/service/slashid"
)

type serveCmd struct {
	UpstreamURL        string   `name:"upstream-url" help:"Base URL of SlashID, for instance https://api.slashid.com. Required." placeholder:"URL"`
	UpstreamCAFile     fileName `name:"upstream-ca-file" help:"PEM file with the CA certificates that verify SlashID's certificate, instead of those of the system. Reloaded when it changes." placeholder:"FILE"`
	UpstreamAPIKeyFile fileName `name:"upstream-api-key-file" help:"File with quash's API key for SlashID. Reloaded when it changes. If unset, quash forwards the caller's credentials." placeholder:"FILE"`

	UpstreamConnectionAge time.Duration `default:"${upstream_connection_age}" help:"Maximum age of a connection to SlashID for new requests, at least 1s. Later requests open a new one, which resolves SlashID's address again."`

	serverFlags `embed:"" set:"host=" set:"drain_delay=5s" set:"reflection=false" set:"docs=false" set:"log_format=json"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std streams, settings configz) error {
	p := parts{settings: settings}
	c.check(&p.wrong)
	p.access = c.access(&p.files)
	base, err := c.baseURL()
	if err != nil {
		p.wrong.addf("%s", err)
	}
	checkAtLeast(&p.wrong, "--upstream-connection-age", c.UpstreamConnectionAge, time.Second)
	p.upstream = slashid.Config{
		BaseURL:       base,
		RootCAs:       read(&p.files, "--upstream-ca-file", c.UpstreamCAFile, "upstream_ca", "upstream CA", parseCertificates),
		ConnectionAge: c.UpstreamConnectionAge,
	}
	p.apiKey = read(&p.files, "--upstream-api-key-file", c.UpstreamAPIKeyFile, "api_key", "upstream API key", parseAPIKey)
	if err := p.wrong.err(); err != nil {
		return err
	}
	s, err := c.newFacade(ctx, std, p)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

func (c *serveCmd) baseURL() (*url.URL, error) {
	if c.UpstreamURL == "" {
		return nil, errors.New("--upstream-url is required: set SlashID's base URL, for instance https://api.slashid.com (quash dev uses an embedded sandbox instead)")
	}
	base, err := slashid.ParseBaseURL(c.UpstreamURL)
	if err != nil {
		return nil, fmt.Errorf("--upstream-url: %w; an example is https://api.slashid.com", err)
	}
	if base.Scheme == "http" && !c.Insecure && !isLoopbackHost(base.Hostname()) {
		return nil, errors.New("--upstream-url: would send tokens in plaintext beyond loopback; use https://, or allow plaintext with --insecure")
	}
	return base, nil
}

// parseAPIKey returns the key in a file, without the newline that editors add.
func parseAPIKey(content []byte) (slashid.Secret, error) {
	key := strings.TrimSpace(string(content))
	switch {
	case key == "":
		return slashid.Secret{}, errors.New("it is empty")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return slashid.Secret{}, errors.New("it must hold one key, in printable ASCII")
	}
	return slashid.NewSecret(key), nil
}
