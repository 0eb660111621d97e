package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/quashdev/quash/service/slashid"
)

type mintCmd struct {
	Addr  string `default:"http://127.0.0.1:8081" env:"-" help:"The base URL of the sandbox."`
	Count int    `default:"1" env:"-" help:"How many tokens."`
}

// Run writes the tokens to standard output.
func (c *mintCmd) Run(ctx context.Context, std streams, unreadable *usageError) error {
	problems := unreadable.problems
	base, err := slashid.ParseBaseURL(c.Addr)
	if err != nil {
		problems = append(problems, fmt.Sprintf("--addr: %s; an example is http://127.0.0.1:8081", err))
	}
	if c.Count < 1 {
		problems = append(problems, fmt.Sprintf("--count must be at least 1, and is %d", c.Count))
	}
	if len(problems) > 0 {
		return &usageError{problems}
	}
	tokens := base.JoinPath("/_sandbox/tokens")
	tokens.RawQuery = url.Values{"count": {strconv.Itoa(c.Count)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokens.String(), nil)
	if err != nil {
		return fmt.Errorf("build the request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no sandbox answers: %w", errors.Unwrap(err))
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
