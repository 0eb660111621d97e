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

// contender is a program that does the same work as quash, or a part of it.
type contender struct {
	name       string
	transports []calls.Transport
	alone      bool // has no upstream
	targets    []costTarget

	// serve runs the contender until ctx is cancelled. It runs in a separate process, so that
	// its resource usage can be measured. It uses one of the listeners, or both.
	serve func(ctx context.Context, to target, grpcListener, httpListener net.Listener) error
	// start starts a contender that is another program. Either serve or start is set.
	start func(ctx context.Context, e *env, upstreamURL string) (*server, error)
}

// contenders are all programs that are compared.
var contenders = []*contender{nothing, textbook, usual, reverseProxy, nginx, quash}

// costTarget limits the CPU time per call of quash, as a ratio to that of the contender.
type costTarget struct {
	quash, contender calls.Transport
	upstream         protocol
	target, stretch  float64 // maximum, and a lower maximum that would be better
}

// server is a running contender. The caller must call stop.
type server struct {
	*proctest.Process
	proctest.Addrs

	client calls.Client // set by open
	stop   func()
}

// run starts a contender in front of an upstream.
func (c *contender) run(ctx context.Context, e *env, upstreamURL string) (*server, error) {
	if c.start != nil {
		return c.start(ctx, e, upstreamURL)
	}
	return startServer(e.self, nil, "contender", c.name, upstreamURL, e.certFile)
}

// startServer starts a program that logs the addresses of its listeners, as quash does.
func startServer(binary string, environment []string, args ...string) (*server, error) {
	p, addrs, err := proctest.Serve(binary, environment, args...)
	if err != nil {
		return nil, err
	}
	return &server{Process: p, Addrs: addrs, stop: p.Kill}, nil // no need to drain
}

// open starts a contender and a client of it.
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

// target is the upstream for a contender in Go.
type target struct {
	url       string
	transport *http.Transport
}

// Serve runs the subcommand contender: the process of a contender that this program serves. Its
// arguments are the name of the contender, the URL of its upstream, and a file with the CA of
// the upstream's certificate.
func Serve(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("contender: only bench compare runs this subcommand")
	}
	i := slices.IndexFunc(contenders, func(c *contender) bool { return c.name == args[0] && c.serve != nil })
	if i < 0 {
		return fmt.Errorf("unknown contender %q", args[0])
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
