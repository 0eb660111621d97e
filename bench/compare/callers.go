package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// A caller makes calls. Its workers are numbered, and none makes two calls at a time.
type caller interface {
	// call makes one that must succeed.
	call(ctx context.Context, worker int, token string) error
	io.Closer
}

// door is a way to call.
type door struct {
	name string
	open func(ctx context.Context, a addrs, workers int) (caller, error)
}

const (
	dropInPath = "/token/revoke"
	nativePath = "/v1/tokens:revoke"
)

var (
	doorGRPC   = door{"gRPC", openGRPC}
	doorDropIn = door{"REST", openREST(dropInPath, http.StatusNoContent, "")}
	doorNative = door{"REST", openREST(nativePath, http.StatusOK, `"OUTCOME_REVOKED"`)}
)

// channels is how many connections all workers share over gRPC.
const channels = 4

type overGRPC struct {
	channels []*grpc.ClientConn
	clients  []quashv1.TokenServiceClient
	// request is what each call asks for, but for the token.
	request func(token string) *quashv1.RevokeRequest
}

func openGRPC(_ context.Context, a addrs, workers int) (caller, error) {
	return dialGRPC(a, min(workers, channels), func(token string) *quashv1.RevokeRequest {
		return &quashv1.RevokeRequest{Token: token}
	})
}

func dialGRPC(a addrs, channels int, request func(token string) *quashv1.RevokeRequest) (*overGRPC, error) {
	c := &overGRPC{request: request}
	for range channels {
		channel, err := grpc.NewClient("passthrough:///"+a.GRPC,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.channels = append(c.channels, channel)
		c.clients = append(c.clients, quashv1.NewTokenServiceClient(channel))
	}
	return c, nil
}

func (c *overGRPC) call(ctx context.Context, worker int, token string) error {
	resp, err := c.clients[worker%len(c.clients)].Revoke(ctx, c.request(token))
	if err != nil {
		return err
	}
	if resp.GetOutcome() != quashv1.Outcome_OUTCOME_REVOKED {
		return fmt.Errorf("the outcome is %s", resp.GetOutcome())
	}
	return nil
}

// Close closes the channels.
func (c *overGRPC) Close() error {
	failures := make([]error, len(c.channels))
	for i, channel := range c.channels {
		failures[i] = channel.Close()
	}
	return errors.Join(failures...)
}

// overREST has a connection of HTTP/1.1 for each worker. It writes requests by itself:
// the less the load costs, the more is left to what is measured.
type overREST struct {
	path   string
	status int
	part   string // of the body that is to come, or empty
	conns  []*restConn
}

type restConn struct {
	net.Conn

	answers *bufio.Reader
}

func openREST(path string, status int, part string) func(ctx context.Context, a addrs, workers int) (caller, error) {
	return func(ctx context.Context, a addrs, workers int) (caller, error) {
		c := &overREST{path: path, status: status, part: part}
		for range workers {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.HTTP)
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			c.conns = append(c.conns, &restConn{conn, bufio.NewReader(conn)})
		}
		return c, nil
	}
}

func (c *overREST) call(ctx context.Context, worker int, token string) error {
	conn := c.conns[worker]
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	const head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
	body := `{"token":"` + token + `"}`
	if _, err := io.WriteString(conn, fmt.Sprintf(head, c.path, len(body))+body); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	resp, err := http.ReadResponse(conn.answers, nil)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return errors.Join(ctx.Err(), err)
	case resp.StatusCode != c.status || !strings.Contains(string(answer), c.part):
		return fmt.Errorf("it answers %s, with %d bytes", resp.Status, len(answer))
	case resp.Close:
		return errors.New("it ends the connection")
	}
	return nil
}

// Close closes the connections.
func (c *overREST) Close() error {
	failures := make([]error, len(c.conns))
	for i, conn := range c.conns {
		failures[i] = conn.Close()
	}
	return errors.Join(failures...)
}
