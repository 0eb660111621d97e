package client_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/quashdev/quash/client"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// within has a call end soon that nobody will answer.
const within = 200 * time.Millisecond

func failWithin(t *testing.T, c *client.Client) *client.FailureInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: "t"})
	failure, ok := client.Failure(err)
	if !ok {
		t.Fatal(err)
	}
	return failure
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l := listen(t)
	l.Close()
	failure := failWithin(t, newClient(t, l.Addr().String()))
	if failure.Code != codes.DeadlineExceeded || failure.State != notApplied {
		t.Errorf("%+v", failure)
	}
}

// The caller leaves once the call has arrived.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := startFake(t, func(f *fake) {
		f.revoke = func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
	})
	_, err := newClient(t, f.addr).Revoke(ctx, &quashv1.RevokeRequest{})
	if failure, _ := client.Failure(err); failure == nil || failure.Code != codes.Canceled || failure.State != unknown {
		t.Errorf("%+v", failure)
	}
}

func TestConnectionsThatAreLost(t *testing.T) {
	t.Parallel()
	f := startFake(t, func(f *fake) {
		f.revoke = func(ctx context.Context) error {
			go f.server.Stop()
			<-ctx.Done()
			return ctx.Err()
		}
	})
	failure := mustFail(t, newClient(t, f.addr, client.WithAttempts(1)), &quashv1.RevokeRequest{})
	if failure.Code != codes.Unavailable || failure.State != unknown || !failure.Retryable {
		t.Errorf("%+v", failure)
	}
}

func TestClientsThatAreClosed(t *testing.T) {
	t.Parallel()
	c := newClient(t, startFake(t).addr)
	c.Close()
	failure := mustFail(t, c, &quashv1.RevokeRequest{})
	if failure.Code != codes.Canceled || failure.State != notApplied {
		t.Errorf("%+v", failure)
	}
}

// A server that says that it has not looked at a call, and is gone then. gRPC goes on
// by itself, and finds nobody: what it had sent does not count.
func TestCallsThatWereNotLookedAt(t *testing.T) {
	t.Parallel()
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- refuseOne(l) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Health is not watched, so that what comes is the call.
	c := newClient(t, l.Addr().String(), client.WithDialOptions(
		grpc.WithDisableHealthCheck(),
		grpc.WithStatsHandler(&onAttempt{n: 2, do: cancel}),
	))
	_, err := c.Revoke(ctx, &quashv1.RevokeRequest{Token: "t"})
	if failure, _ := client.Failure(err); failure == nil || failure.Code != codes.Canceled || failure.State != notApplied {
		t.Errorf("%+v", failure)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// onAttempt does something when gRPC begins the nth attempt.
type onAttempt struct {
	n  int
	do func()
}

func (o *onAttempt) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.Begin); ok {
		if o.n--; o.n == 0 {
			o.do()
		}
	}
}

func (*onAttempt) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (*onAttempt) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (*onAttempt) HandleConn(context.Context, stats.ConnStats) {}

// refuseOne takes one connection, and refuses the first call on it once its message is
// there.
func refuseOne(l net.Listener) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	l.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.DataFrame:
			return framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}
		if err != nil {
			return err
		}
	}
}
