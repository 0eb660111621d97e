package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/quashdev/quash/bench/calls"
	"github.com/quashdev/quash/internal/proctest"
)

// contender does quash's work, or a part of it.
type contender struct {
	name       string
	transports []calls.Transport
	alone      bool // it calls no upstream
	targets    []costTarget

	// serve serves the contender until ctx ends, in a process of its own, so that what it
	// uses can be told from the rest. It serves on one of the listeners or on both.
	serve func(ctx context.Context, to target, grpcListener, httpListener net.Listener) error
	// start starts a contender that is another program. One of serve and start is set.
	start func(ctx context.Context, e *env, upstreamURL string) (*server, error)
}

// contenders are all that are compared.
var contenders = []*contender{nothing, textbook, reverseProxy, nginx, quash}

// costTarget is how much CPU time a call of quash may take, as a ratio to a call of the
// contender that it is a target of.
type costTarget struct {
	quash, contender calls.Transport
	upstream         protocol
	most, wanted     float64 // the target, and what would be better still
}

// server is a contender that runs. stop must be called.
type server struct {
	*proctest.Process
	proctest.Addrs

	client calls.Client // after open
	stop   func()
}

// run starts a contender in front of an upstream.
func (c *contender) run(ctx context.Context, e *env, upstreamURL string) (*server, error) {
	if c.start != nil {
		return c.start(ctx, e, upstreamURL)
	}
	return startServer(e.self, nil, "contender", c.name, upstreamURL, e.certFile)
}

// startServer starts a program that says in its log where it serves, as quash does.
func startServer(binary string, environment []string, args ...string) (*server, error) {
	p, addrs, err := proctest.Serve(binary, environment, args...)
	if err != nil {
		return nil, err
	}
	return &server{Process: p, Addrs: addrs, stop: p.Kill}, nil // there is nothing that a drain would save
}

// open starts a contender and dials it.
func (e *env) open(ctx context.Context, c *contender, t calls.Transport, connections int, upstreamURL string) (*server, error) {
	s, err := c.run(ctx, e, upstreamURL)
	if err != nil {
		return nil, err
	}
	stop := s.stop
	if s.client, err = calls.Dial(t, s.Addrs, connections); err != nil {
		stop()
		return nil, err
	}
	s.stop = func() { s.client.Close(); stop() }
	return s, nil
}

// target is the upstream as a contender in Go calls it.
type target struct {
	url       string
	transport *http.Transport
}

// Serve runs the subcommand contender, the process of one that this program serves. Its
// arguments are the contender, the URL of its upstream, and the file with the upstream's
// certificate authority.
func Serve(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("contender is for bench itself")
	}
	i := slices.IndexFunc(contenders, func(c *contender) bool { return c.name == args[0] && c.serve != nil })
	if i < 0 {
		return fmt.Errorf("there is no contender %q to serve", args[0])
	}
	authorities, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	grpcListener, err := listen()
	if err != nil {
		return err
	}
	httpListener, err := listen()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "serving grpc=%s http=%s admin=none\n", grpcListener.Addr(), httpListener.Addr())
	return contenders[i].serve(ctx, target{args[1], calls.NewTransport(authorities)}, grpcListener, httpListener)
}
