package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quashdev/quash/internal/filewatch"
	"github.com/quashdev/quash/service/slashid"
)

type serveCmd struct {
	UpstreamURL        string   `name:"upstream-url" configz:"visible" help:"SlashID's base URL, for instance https://api.slashid.com. Required." placeholder:"URL"`
	UpstreamCAFile     fileName `name:"upstream-ca-file" configz:"visible" help:"A PEM file with the authorities that SlashID's certificate must come from, instead of the system's. Read again when it changes." placeholder:"FILE"`
	UpstreamAPIKeyFile fileName `name:"upstream-api-key-file" configz:"visible" help:"A file with quash's API key for SlashID, read again when it changes. Unset, the caller's credentials are forwarded." placeholder:"FILE"`

	UpstreamConnectionAge time.Duration `default:"${upstream_connection_age}" configz:"visible" help:"How long new requests use a connection to SlashID, at least 1s. Then they use a new one, which looks up SlashID's address again."`

	serverFlags `embed:"" set:"host=" set:"drain_delay=5s" set:"reflection=false" set:"docs=false" set:"log_format=json"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std streams, unreadable *usageError, settings configz) error {
	problems := slices.Concat(unreadable.problems, c.check())
	callers, wrong := c.access()
	problems = append(problems, wrong...)
	upstream, apiKey, watched, wrong := c.upstream()
	problems = append(problems, wrong...)
	callers.watched = append(callers.watched, watched...)
	if len(problems) > 0 {
		return &usageError{problems}
	}
	c.settings = settings
	logger := c.logger(std.err)
	s, err := c.newFacade(ctx, logger, upstream, apiKey, callers)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// upstream reads what the flags say of SlashID.
func (c *serveCmd) upstream() (cfg slashid.Config, apiKey func() slashid.Secret, files []watchedFile, problems []string) {
	base, err := c.baseURL()
	if err != nil {
		problems = append(problems, err.Error())
	}
	cfg.BaseURL = base
	if c.UpstreamCAFile != "" {
		if cas, err := filewatch.Load(string(c.UpstreamCAFile), parseCertificates); err != nil {
			problems = append(problems, fmt.Sprintf("--upstream-ca-file %s", err))
		} else {
			cfg.RootCAs = cas.Get
			files = append(files, watched("upstream_ca", "the list of SlashID's authorities", cas))
		}
	}
	if c.UpstreamAPIKeyFile != "" {
		if key, err := filewatch.Load(string(c.UpstreamAPIKeyFile), parseAPIKey); err != nil {
			problems = append(problems, fmt.Sprintf("--upstream-api-key-file %s", err))
		} else {
			apiKey = key.Get
			files = append(files, watched("api_key", "the API key for SlashID", key))
		}
	}
	if cfg.ConnectionAge = c.UpstreamConnectionAge; cfg.ConnectionAge < time.Second {
		problems = append(problems, fmt.Sprintf("--upstream-connection-age must be at least 1s, and is %s", cfg.ConnectionAge))
	}
	return cfg, apiKey, files, problems
}

func (c *serveCmd) baseURL() (*url.URL, error) {
	if c.UpstreamURL == "" {
		return nil, errors.New("--upstream-url is missing: give SlashID's address, for instance https://api.slashid.com (quash dev runs on an embedded sandbox instead)")
	}
	base, err := slashid.ParseBaseURL(c.UpstreamURL)
	if err != nil {
		return nil, fmt.Errorf("--upstream-url: %w; an example is https://api.slashid.com", err)
	}
	if base.Scheme == "http" && !c.Insecure && !isLoopbackHost(base.Hostname()) {
		return nil, errors.New("--upstream-url would send tokens in plaintext beyond this machine: use https://, or accept it with --insecure")
	}
	return base, nil
}

// parseAPIKey reads a key, without the line end that editors add to it.
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
