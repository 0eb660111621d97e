package compare

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/quashdev/quash/bench/calls"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/pkitest"
)

// env is the environment of all measurements of a run.
type env struct {
	pace   pace
	self   string // this program, which serves the contenders in Go
	quash  string
	usual  string
	ghz    string
	nginx  string // empty if not installed
	tmp    string
	tokens atomic.Uint64 // number of tokens so far

	// The self-signed certificate of the upstream, and files with the certificate, its key,
	// and quash's API key.
	certificate                   tls.Certificate
	certFile, keyFile, apiKeyFile string

	upstreams map[protocol]*upstream // they answer at once; the one for "" is a placeholder
	collector *upstream              // receives the telemetry that contenders export, as in production
}

// apiKey is the API key for SlashID. The stub does not check it.
const apiKey = "key"

// newEnv returns the environment of a run. The caller must remove the directory tmp afterwards.
func newEnv(quash, usual, ghz, tmp string, p pace) (e *env, err error) {
	e = &env{pace: p, tmp: tmp, upstreams: map[protocol]*upstream{"": {}}}
	if e.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if e.quash, err = program(quash); err != nil {
		return nil, err
	}
	if e.usual, err = program(usual); err != nil {
		return nil, err
	}
	if e.ghz, err = program(ghz); err != nil {
		return nil, err
	}
	e.nginx, _ = exec.LookPath("nginx")
	e.certificate = pkitest.SelfSigned(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	})
	certPEM, keyPEM := pkitest.PEM(e.certificate)
	e.certFile, e.keyFile, e.apiKeyFile = filepath.Join(tmp, "cert.pem"), filepath.Join(tmp, "key.pem"), filepath.Join(tmp, "api-key")
	if err := errors.Join(
		os.WriteFile(e.certFile, certPEM, 0o600),
		os.WriteFile(e.keyFile, keyPEM, 0o600),
		os.WriteFile(e.apiKeyFile, []byte(apiKey), 0o600),
	); err != nil {
		return nil, err
	}
	for _, p := range []protocol{http1, http2} {
		if e.upstreams[p], err = e.startUpstream(p, revoked); err != nil {
			return nil, err
		}
	}
	e.collector, err = e.startUpstream(http1, func(http.ResponseWriter, *http.Request, int64, int64) {})
	return e, err
}

// program returns the absolute path of a program to measure.
func program(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w (run make build .build/quash-bench .build/ghz first)", err)
	}
	return path, nil
}

// telemetry returns the environment variables of contenders that export telemetry: one call in a
// hundred is traced.
func (e *env) telemetry() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + e.collector.url,
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01",
		"OTEL_BSP_SCHEDULE_DELAY=1000", // short, so that spans are exported during the measurement
	}
}

// progressf reports a finished measurement.
func progressf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// rounds measures every entry once per round. Each round starts with a different entry, so that
// the time of a measurement within a round varies.
func rounds[E comparable, F any](ctx context.Context, n int, entries []E, measure func(context.Context, E) (F, error)) (map[E][]F, error) {
	all := map[E][]F{}
	for round := range n {
		for i := range entries {
			entry := entries[(i+round)%len(entries)]
			figures, err := measure(ctx, entry)
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

// openLoop is calls.OpenLoop with a deadline for each call.
func (e *env) openLoop(ctx context.Context, c calls.Client, n, rate int, deadline time.Duration) []calls.Result {
	return calls.OpenLoop(ctx, n, rate, func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		return c.Call(ctx, i, e.request())
	})
}

const tokenSize = 1024

// request returns a request with a new token of the shape and size of SlashID's tokens.
func (e *env) request() *quashv1.RevokeRequest {
	return &quashv1.RevokeRequest{Token: fmt.Sprintf("eyJhbGciOiJSUzI1NiJ9.%0660d.%0342d", e.tokens.Add(1), 1)}
}
