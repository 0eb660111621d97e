package load

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

// token is a token, and the jti by which the sandbox lists it.
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
		return nil, fmt.Errorf("the sandbox minted %d tokens, not %d", len(tokens), n)
	}
	return tokens, nil
}

// errNoToken does not quote what it is about.
var errNoToken = errors.New("the sandbox minted something that is no token")

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

// revocation says when each region applied the revocation of a token; nil for not yet.
type revocation map[string]*time.Time

// dead reports whether the token is dead in one region, or in all of them.
func (r revocation) dead(everywhere bool) bool {
	applied := 0
	for _, at := range r {
		if at != nil {
			applied++
		}
	}
	return applied > 0 && (!everywhere || applied == len(r))
}

// checkDead returns an error unless all tokens are dead where the plan asks for it.
func (s *session) checkDead(ctx context.Context, tokens []token) error {
	body, err := s.sandbox.ask(ctx, http.MethodGet, "/_sandbox/revocations")
	if err != nil {
		return err
	}
	defer body.Close()
	var list []struct {
		JTI       string     `json:"jti"`
		RevokedAt revocation `json:"revoked_at"`
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return fmt.Errorf("read the sandbox's revocations: %w", err)
	}
	revocations := make(map[string]revocation, len(list))
	for _, r := range list {
		revocations[r.JTI] = r.RevokedAt
	}
	return checkDead(tokens, revocations, s.plan.allRegions)
}

func checkDead(tokens []token, revocations map[string]revocation, everywhere bool) error {
	alive := 0
	for _, t := range tokens {
		if !revocations[t.jti].dead(everywhere) {
			alive++
		}
	}
	if alive > 0 {
		return fmt.Errorf("all calls were OK, but %d of %d tokens are alive", alive, len(tokens))
	}
	return nil
}

// ask makes a request of the sandbox. The caller closes the body.
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
