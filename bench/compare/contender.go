package compare

import (
	"context"
	"errors"
	"flag"
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

// server is a contender that runs.
type server struct {
	*proctest.Process
	proctest.Addrs

	stop func()
}

// run starts a contender in front of an upstream.
func (c *contender) run(ctx context.Context, e *env, upstreamURL string) (*server, error) {
	if c.start != nil {
		return c.start(ctx, e, upstreamURL)
	}
	return startServer(e.self, nil, "contender", "-name", c.name, "-upstream", upstreamURL, "-ca", e.certFile)
}

// startServer starts a program that says in its log where it serves, as quash does.
func startServer(binary string, environment []string, args ...string) (*server, error) {
	p, addrs, err := proctest.Serve(binary, environment, args...)
	if err != nil {
		return nil, err
	}
	return &server{p, addrs, p.Kill}, nil // there is nothing that a drain would save
}

// session is a contender that runs, and a client of it.
type session struct {
	*server

	client calls.Client
}

// open starts a contender and dials it. close must be called.
func (e *env) open(ctx context.Context, c *contender, t calls.Transport, connections int, upstreamURL string) (*session, error) {
	s, err := c.run(ctx, e, upstreamURL)
	if err != nil {
		return nil, err
	}
	client, err := calls.Dial(t, s.Addrs, connections)
	if err != nil {
		s.stop()
		return nil, err
	}
	return &session{s, client}, nil
}

func (s *session) close() {
	s.client.Close()
	s.stop()
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
	i := slices.IndexFunc(contenders, func(c *contender) bool { return c.name == *name && c.serve != nil })
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
	to := target{*url, calls.NewTransport(authorities)}
	if err := contenders[i].serve(ctx, to, grpcListener, httpListener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
