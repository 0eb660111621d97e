package compare

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/internal/pkitest"
)

// env is what all measurements of a run share.
type env struct {
	pace   pace
	self   string // this program, which serves the small contenders
	quash  string
	nginx  string // empty where it is not installed
	tmp    string
	tokens tokens

	// The certificate of the upstream, which is its own authority, and files with it, its
	// key, and the API key that quash sends.
	certificate                   tls.Certificate
	certFile, keyFile, apiKeyFile string

	collectorURL string
	upstreams    map[protocol]string // the URLs of those that answer at once
	stops        []func()
}

// apiKey is the key of SlashID's customer. The stub does not look at it.
const apiKey = "key"

// newEnv returns what a run needs. close must be called, also after an error.
func newEnv(quash string, p pace) (e *env, err error) {
	e = &env{pace: p, tokens: newTokens(), upstreams: map[protocol]string{}}
	if e.self, err = os.Executable(); err != nil {
		return e, err
	}
	if e.quash, err = filepath.Abs(quash); err != nil {
		return e, err
	}
	if _, err := os.Stat(e.quash); err != nil {
		return e, fmt.Errorf("%w (make build builds it)", err)
	}
	e.nginx, _ = exec.LookPath("nginx")
	if e.tmp, err = os.MkdirTemp("", "quash-bench-"); err != nil {
		return e, err
	}
	e.certificate = pkitest.SelfSigned(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	})
	certPEM, keyPEM := pkitest.PEM(e.certificate)
	e.certFile, e.keyFile, e.apiKeyFile = filepath.Join(e.tmp, "cert.pem"), filepath.Join(e.tmp, "key.pem"), filepath.Join(e.tmp, "api-key")
	if err := errors.Join(
		os.WriteFile(e.certFile, certPEM, 0o600),
		os.WriteFile(e.keyFile, keyPEM, 0o600),
		os.WriteFile(e.apiKeyFile, []byte(apiKey), 0o600),
	); err != nil {
		return e, err
	}
	// quash exports its telemetry as it does in production; nothing reads it.
	collector, stop, err := serveHTTP(&http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})})
	if err != nil {
		return e, err
	}
	e.collectorURL, e.stops = "http://"+collector, append(e.stops, stop)
	for _, p := range []protocol{http1, http2} {
		u, err := e.startUpstream(p, revoked)
		if err != nil {
			return e, err
		}
		e.upstreams[p], e.stops = u.url, append(e.stops, u.stop)
	}
	return e, nil
}

func (e *env) close() error {
	for _, stop := range e.stops {
		stop()
	}
	return os.RemoveAll(e.tmp)
}

// progressf tells of a measurement that is done.
func progressf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// rounds measures every entry once a round. Each round begins with another entry, so that
// no entry always has the same neighbour.
func rounds[E comparable, F any](ctx context.Context, n int, entries []E, measure func(E) (F, error)) (map[E][]F, error) {
	all := map[E][]F{}
	for round := range n {
		for i := range entries {
			entry := entries[(i+round)%len(entries)]
			figures, err := measure(entry)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%v: %w", entry, err)
			}
			all[entry] = append(all[entry], figures)
			progressf("round %d of %d: %v: %+v", round+1, n, entry, figures)
		}
	}
	return all, nil
}

// openLoop is calls.OpenLoop with a token of its own, and a deadline, for each call.
func (e *env) openLoop(ctx context.Context, c calls.Client, n, rate int, deadline time.Duration) []calls.Result {
	return calls.OpenLoop(ctx, n, rate, func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		return c.Call(ctx, i, calls.Request{Token: e.tokens.next()})
	})
}

// tokens makes strings of the shape and size of SlashID's tokens, all different. They
// differ in a few characters only, so that making one costs next to nothing.
type tokens struct {
	made  *atomic.Uint64
	after string // the number
}

const (
	tokenSize   = 1024
	tokenHeader = "eyJhbGciOiJSUzI1NiJ9"
	signature   = 342 // characters, of RS256
)

func newTokens() tokens {
	random := make([]byte, tokenSize)
	_, _ = rand.Read(random)
	text := base64.RawURLEncoding.EncodeToString(random)
	const claims = tokenSize - len(tokenHeader) - len("00000000000") - len("..") - signature
	return tokens{new(atomic.Uint64), text[:claims] + "." + text[claims:claims+signature]}
}

func (t tokens) next() string {
	return fmt.Sprintf("%s.%011d%s", tokenHeader, t.made.Add(1), t.after)
}
