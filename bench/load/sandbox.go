package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// sandboxURL is the base URL of a sandbox.
type sandboxURL string

// token is a token, and the jti by which the sandbox speaks of it.
type token struct{ text, jti string }

// mint has the sandbox make n tokens.
func (s sandboxURL) mint(ctx context.Context, n int) ([]token, error) {
	body, err := s.ask(ctx, http.MethodPost, fmt.Sprintf("/_sandbox/tokens?count=%d", n))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	tokens := make([]token, 0, n)
	for lines := bufio.NewScanner(body); lines.Scan(); {
		jti, err := jtiOf(lines.Text())
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token{lines.Text(), jti})
	}
	if len(tokens) != n {
		return nil, fmt.Errorf("%d tokens came, not %d", len(tokens), n)
	}
	return tokens, nil
}

// errNoToken says nothing of what it is about.
var errNoToken = errors.New("what came is no token")

func jtiOf(jwt string) (string, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "", errNoToken
	}
	var claims struct {
		JTI string `json:"jti"`
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(decoded, &claims) != nil || claims.JTI == "" {
		return "", errNoToken
	}
	return claims.JTI, nil
}

// death is when the regions applied the revocation of a token; nil for one that has not.
type death map[string]*time.Time

// deaths returns the revocations that the sandbox has accepted, by jti.
func (s sandboxURL) deaths(ctx context.Context) (map[string]death, error) {
	body, err := s.ask(ctx, http.MethodGet, "/_sandbox/revocations")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var revocations []struct {
		JTI       string `json:"jti"`
		RevokedAt death  `json:"revoked_at"`
	}
	if err := json.NewDecoder(body).Decode(&revocations); err != nil {
		return nil, err
	}
	byJTI := make(map[string]death, len(revocations))
	for _, r := range revocations {
		byJTI[r.JTI] = r.RevokedAt
	}
	return byJTI, nil
}

// locally is when the local region, which is the first to apply it, did; false for never.
func (d death) locally() (at time.Time, ok bool) {
	for _, t := range d {
		if t != nil && (!ok || t.Before(at)) {
			at, ok = *t, true
		}
	}
	return at, ok
}

// everywhere is when the last region applied it; false for not all of them.
func (d death) everywhere() (at time.Time, ok bool) {
	for _, t := range d {
		if t == nil {
			return time.Time{}, false
		}
		if t.After(at) {
			at = *t
		}
	}
	return at, len(d) > 0
}

// ask makes a request of the sandbox. Whoever gets a body closes it.
func (s sandboxURL) ask(ctx context.Context, method, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, string(s)+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the sandbox answered %s", resp.Status)
	}
	return resp.Body, nil
}
