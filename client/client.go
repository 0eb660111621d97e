package client

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health" // registers the health checking that serviceConfig enables
	"google.golang.org/grpc/keepalive"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// serviceConfig is the gRPC service config. It has no retry policy: gRPC does not report its
// automatic retries, and then the client could not know whether the token was sent.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "quash.v1.TokenService"}
}`

const (
	// pingAfter is the time without traffic after which a connection is sent a keepalive
	// ping. quash accepts a ping every 10 s.
	pingAfter = 30 * time.Second
	// pingTimeout is how long the peer may take to answer a ping, and to acknowledge data
	// (TCP_USER_TIMEOUT).
	pingTimeout = 10 * time.Second
	// redialMax is the maximum delay between two dials. With gRPC's default the client
	// could take two minutes to notice that quash is back.
	redialMax = 5 * time.Second
	// maxRequestBytes is the maximum size of a request: quash's default, and four times
	// the longest token. The client rejects larger requests before it sends anything.
	maxRequestBytes = 64 << 10
)

// Client calls quash. It keeps one connection to each instance, so create one Client and
// reuse it. It is safe for concurrent use.
type Client struct {
	// The generated stub. Failure reads the errors of Revoke.
	quashv1.TokenServiceClient

	conn *grpc.ClientConn
}

// New returns a client of the quash at target, which is a gRPC target name such as host:port,
// or dns:///host:port for all addresses of a host. New does not connect.
//
// It returns an error if options exclude each other, if a file that they name cannot be used,
// or if target cannot be parsed.
func New(target string, opts ...Option) (*Client, error) {
	if target == "" {
		return nil, errors.New("quash client: the target is empty")
	}
	var s settings
	for _, opt := range opts {
		opt(&s)
	}
	creds, err := s.credentials()
	if err != nil {
		return nil, fmt.Errorf("quash client: %w", err)
	}
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableRetry(), // revoking retries; a resolver's service config must not add retries
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallSendMsgSize(maxRequestBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                pingAfter,
			Timeout:             pingTimeout,
			PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: redialing(), MinConnectTimeout: redialMax}),
		grpc.WithChainUnaryInterceptor(newRevoking(s.attempts).intercept),
		grpc.WithStatsHandler(sent{}),
		grpc.WithStatsHandler(s.telemetryHandler()),
	}, s.dial...)
	conn, err := grpc.NewClient(target, dial...)
	if err != nil {
		return nil, fmt.Errorf("quash client: the target: %w", err)
	}
	return &Client{quashv1.NewTokenServiceClient(conn), conn}, nil
}

func redialing() backoff.Config {
	b := backoff.DefaultConfig
	b.MaxDelay = redialMax
	return b
}

// Conn returns the connection. Use it to check quash's health, or to connect before the first
// call.
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Close closes the connection. Calls in flight return CANCELLED; quash finishes the
// revocations that they sent.
func (c *Client) Close() error { return c.conn.Close() }
