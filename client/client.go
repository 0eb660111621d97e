package client

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health" // watches the health of instances, as the service config has it
	"google.golang.org/grpc/keepalive"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// serviceConfig is gRPC's own configuration of a client. It has no retry policy: what
// gRPC repeats by itself it does not report, and then the client could not say what
// became of the token.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": "quash.v1.TokenService"}
}`

const (
	// pingAfter is how long a connection may be silent before it is asked for a sign of
	// life. quash lets clients ask every 10 s.
	pingAfter = 30 * time.Second
	// pingTimeout is how long that may take; also how long TCP may wait for what was
	// sent to be acknowledged.
	pingTimeout = 10 * time.Second
	// redialMax is the longest pause between two dials. gRPC's own is two minutes: so
	// long a quash that is back would not be noticed.
	redialMax = 5 * time.Second
	// maxRequestBytes is four times the longest token, and what quash takes by default.
	// What is larger is refused here, where it is certain that nothing was sent.
	maxRequestBytes = 64 << 10
)

// Client calls one quash, which may have many instances. It is safe for concurrent
// use, and meant to be kept: it has one connection to each instance.
type Client struct {
	// The stub as it was generated. Revoke's errors are gRPC's; Failure reads them.
	quashv1.TokenServiceClient

	conn *grpc.ClientConn
}

// New returns a client of the quash at target, a name as gRPC has it: host:port or
// dns:///host:port for all addresses of a host, for instance. It does not connect yet.
//
// It fails when the options contradict each other, or files that they name cannot be
// used, or target cannot be parsed.
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
		grpc.WithDisableRetry(), // revoking repeats, whatever a resolver's service config says
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

// Conn is the connection: for quash's health, for instance, or to have it connect
// before the first call.
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Close closes the connection. Calls in progress end with CANCELLED: what they have
// sent is finished by quash.
func (c *Client) Close() error { return c.conn.Close() }
