package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// children are what this binary is when it is started by itself: each contender that is
// small has a process of its own, so that what it uses can be told from the rest.
var children = map[string]func(ctx context.Context, c childConfig, say func(addrs)) error{
	"upstream": serveStub,
	"nothing":  serveNothing,
	"textbook": serveTextbook,
	"proxy":    serveProxy,
}

// childMark is the first argument of such a process.
const childMark = "child"

// childConfig is the command line of all of them.
type childConfig struct {
	// For those in front of an upstream: where that is, and a file that vouches for it.
	upstream, ca string
	// For the upstream: files, how long to keep each request waiting, and how many
	// requests a connection takes at a time over HTTP/2, 0 for Go's default.
	cert, key string
	hold      time.Duration
	streams   int
}

// runChild serves until ctx ends, and says where on log.
func runChild(ctx context.Context, args []string, log io.Writer) error {
	if len(args) == 0 || children[args[0]] == nil {
		return fmt.Errorf("there is no child %q", args)
	}
	var c childConfig
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&c.upstream, "upstream", "", "")
	flags.StringVar(&c.ca, "ca", "", "")
	flags.StringVar(&c.cert, "cert", "", "")
	flags.StringVar(&c.key, "key", "", "")
	flags.DurationVar(&c.hold, "hold", 0, "")
	flags.IntVar(&c.streams, "streams", 0, "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	return children[args[0]](ctx, c, func(a addrs) {
		a.Msg = servingMsg
		_ = json.NewEncoder(log).Encode(a)
	})
}

// child is the command that starts one of them.
func (s *setup) child(name string, args ...string) *exec.Cmd {
	return exec.Command(s.self, append([]string{childMark, name}, args...)...) //nolint:gosec,noctx // start binds it to a context
}

// listen listens on loopback.
func listen(ctx context.Context) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
}

// serveHTTP serves until ctx ends, with TLS if the server has a certificate.
func serveHTTP(ctx context.Context, server *http.Server, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newTransport returns what a Go program calls an upstream by when its author has read
// the documentation: it keeps as many connections as it has use for, and speaks HTTP/2
// where the upstream does.
func (c childConfig) newTransport() (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as documented
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	if c.ca != "" {
		authorities, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authorities)
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return transport, nil
}
