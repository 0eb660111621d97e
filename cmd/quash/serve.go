package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/quashdev/quash/service/filewatch"
	"github.com/quashdev/quash/service/slashid"
)

// reloadInterval is how often files that may be replaced are looked at.
const reloadInterval = time.Second

type serveCmd struct {
	UpstreamURL        string `name:"upstream-url" help:"SlashID's base URL, for instance https://api.slashid.com. Required." placeholder:"URL"`
	UpstreamCAFile     string `name:"upstream-ca-file" help:"PEM certificates that vouch for the upstream, instead of the system's." placeholder:"FILE"`
	UpstreamAPIKeyFile string `name:"upstream-api-key-file" help:"A file with quash's API key for SlashID, read again when it changes. Unset, the caller's credentials are forwarded." placeholder:"FILE"`

	serverFlags `embed:"" set:"host=" set:"drain_delay=5s" set:"reflection=false" set:"log_format=json"`
}

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, std streams, unreadable *usageError) error {
	upstream, apiKey, problems := c.upstream()
	problems = append(append(unreadable.problems, c.check()...), problems...)
	if len(problems) > 0 {
		return &usageError{problems}
	}
	logger := c.logger(std.err)
	var key func() slashid.Secret
	if apiKey != nil {
		key = apiKey.Get
	}
	s, err := c.newFacade(ctx, logger, upstream, key)
	if err != nil {
		return err
	}
	if apiKey == nil {
		return s.Run(ctx)
	}
	watchCtx, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		apiKey.Watch(watchCtx, reloadInterval, func(err error) {
			if err != nil {
				logger.Error("the API key for SlashID is not replaced", "err", err.Error())
				return
			}
			logger.Info("the API key for SlashID is replaced")
		})
	})
	err = s.Run(ctx)
	stop()
	watch.Wait()
	return err
}

// upstream reads what the flags say of SlashID.
func (c *serveCmd) upstream() (cfg slashid.Config, apiKey *filewatch.File[slashid.Secret], problems []string) {
	base, err := c.baseURL()
	if err != nil {
		problems = append(problems, err.Error())
	}
	cfg.BaseURL = base
	if c.UpstreamCAFile != "" {
		if cas, err := filewatch.Load(c.UpstreamCAFile, parseCertificates); err != nil {
			problems = append(problems, fmt.Sprintf("--upstream-ca-file %s", err))
		} else {
			cfg.RootCAs = cas.Get()
		}
	}
	if c.UpstreamAPIKeyFile != "" {
		if apiKey, err = filewatch.Load(c.UpstreamAPIKeyFile, parseAPIKey); err != nil {
			problems = append(problems, fmt.Sprintf("--upstream-api-key-file %s", err))
		}
	}
	return cfg, apiKey, problems
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

func parseCertificates(content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("it holds no PEM certificate")
	}
	return pool, nil
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
