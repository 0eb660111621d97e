package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
)

// door is a way to call. open returns what makes a call that waits as long as calls
// can, the i-th of them; Close releases what they needed.
type door struct {
	name string
	open func(q *quash) (caller, error)
}

type caller interface {
	call(ctx context.Context, i int) error
	io.Closer
}

var doors = []door{{"gRPC", openGRPC}, {"REST", openREST}}

// begin is how many calls may be on their way at a time: quash gives up those of a
// crowd that take too long to arrive.
const begin = 64

// makeCalls begins n calls, one for each place that there is in onTheWay, and writes to
// answers what came of each.
func makeCalls(ctx context.Context, c caller, n int, onTheWay chan<- struct{}, answers chan<- error) {
	for i := range n {
		select {
		case onTheWay <- struct{}{}:
		case <-ctx.Done():
			answers <- ctx.Err()
			continue
		}
		go func() { answers <- c.call(ctx, i) }()
	}
}

// newToken returns what could be a token, of the size that SlashID's have.
func newToken() string {
	part := func(bytes int) string {
		random := make([]byte, bytes)
		_, _ = rand.Read(random)
		return base64.RawURLEncoding.EncodeToString(random)
	}
	return part(30) + "." + part(600) + "." + part(64)
}

// callsPerChannel is well below how many calls quash takes on a connection.
const callsPerChannel = 500

// overGRPC has some channels, as so many services would.
type overGRPC []*grpc.ClientConn

func openGRPC(q *quash) (caller, error) {
	channels := make(overGRPC, most/callsPerChannel)
	for i := range channels {
		channel, err := grpc.NewClient("passthrough:///"+q.grpc, grpc.WithTransportCredentials(credentials.NewTLS(q.tls)))
		if err != nil {
			return nil, err
		}
		channels[i] = channel
	}
	return channels, nil
}

func (channels overGRPC) call(ctx context.Context, i int) error {
	_, err := quashv1.NewTokenServiceClient(channels[i/callsPerChannel]).Revoke(ctx, &quashv1.RevokeRequest{
		Token: newToken(), Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS, Timeout: durationpb.New(service.MaxTimeout),
	})
	return err
}

// Close closes the channels.
func (channels overGRPC) Close() error {
	failures := make([]error, len(channels))
	for i, channel := range channels {
		failures[i] = channel.Close()
	}
	return errors.Join(failures...)
}

// overREST speaks HTTP/1.1, where each call that waits needs a connection.
type overREST struct {
	transport *http.Transport
	url       string
}

func openREST(q *quash) (caller, error) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &overREST{&http.Transport{TLSClientConfig: q.tls, Protocols: &protocols}, "https://" + q.rest + "/v1/tokens:revoke"}, nil
}

func (c *overREST) call(ctx context.Context, _ int) error {
	body := fmt.Sprintf(`{"token":%q,"consistency":"CONSISTENCY_ALL_REGIONS","timeout":"%ds"}`,
		newToken(), int(service.MaxTimeout.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// Close closes the connections, which are idle by then.
func (c *overREST) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
