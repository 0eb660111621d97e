package compare

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"

	"github.com/quashdev/quash/internal/proctest"
)

// contender does quash's work, or a part of it.
type contender struct {
	name       string
	transports []transport
	alone      bool // it calls no upstream

	// serve serves the contender until ctx ends, in a process of its own, so that what it
	// uses can be told from the rest. It serves on one of the listeners or on both.
	serve func(ctx context.Context, to target, grpcListener, httpListener net.Listener) error
	// start starts a contender that is another program. One of serve and start is set.
	start func(ctx context.Context, e *env, upstreamURL string) (*server, error)
}

// contenders are all that are compared.
var contenders = []contender{nothing, textbook, reverseProxy, nginx, quash}

// server is a contender that runs.
type server struct {
	*proctest.Process
	proctest.Addrs

	stop func()
}

// run starts a contender in front of an upstream.
func (c contender) run(ctx context.Context, e *env, upstreamURL string) (*server, error) {
	if c.start != nil {
		return c.start(ctx, e, upstreamURL)
	}
	return startServer(exec.Command(e.self, "contender", //nolint:gosec,noctx // this program; stop ends it
		"-name", c.name, "-upstream", upstreamURL, "-ca", e.certFile))
}

// startServer starts a process that says in its log where it serves, as quash does.
func startServer(cmd *exec.Cmd) (*server, error) {
	p, err := proctest.Start(cmd)
	if err != nil {
		return nil, err
	}
	addrs, err := p.Addrs()
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &server{p, addrs, p.Kill}, nil // there is nothing that a drain would save
}

// target is the upstream as a contender in Go calls it.
type target struct {
	url       string
	transport *http.Transport
}

// Serve runs the subcommand contender: the process of one that this program serves.
func Serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("contender", flag.ContinueOnError)
	name := flags.String("name", "", "the contender")
	url := flags.String("upstream", "", "the URL of its upstream")
	ca := flags.String("ca", "", "the file with the upstream's certificate authority")
	if err := flags.Parse(args); err != nil {
		return err
	}
	i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == *name && c.serve != nil })
	if i < 0 {
		return fmt.Errorf("there is no contender %q to serve", *name)
	}
	authorities, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	grpcListener, err := listen()
	if err != nil {
		return err
	}
	defer grpcListener.Close()
	httpListener, err := listen()
	if err != nil {
		return err
	}
	defer httpListener.Close()
	fmt.Fprintf(os.Stderr, "serving grpc=%s http=%s admin=none\n", grpcListener.Addr(), httpListener.Addr())
	to := target{*url, newTransport(authorities)}
	if err := contenders[i].serve(ctx, to, grpcListener, httpListener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newTransport is the transport of a Go program whose author has read the documentation:
// it keeps connections, and speaks HTTP/2 where the upstream does.
func newTransport(authorities []byte) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as documented
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authorities)
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return transport
}
