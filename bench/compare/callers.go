package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/proctest"
)

// caller makes calls that must succeed. Callers are used by many goroutines.
type caller struct {
	call  func(ctx context.Context, i int, token string) error // i numbers the calls or the workers
	close func()
}

// transport is how a contender is called.
type transport string

const (
	overGRPC transport = "gRPC"
	native   transport = "REST, native"
	dropIn   transport = "REST, drop-in"
)

const (
	nativePath = "/v1/tokens:revoke"
	dropInPath = "/token/revoke"
)

// dial returns a caller of a contender. Over gRPC it has so many connections; over REST
// each call that waits has one of its own, of HTTP/1.1.
func (t transport) dial(a proctest.Addrs, connections int) (caller, error) {
	switch t {
	case native:
		return callREST(newTransport(nil), "http://"+a.HTTP+nativePath, http.StatusOK), nil
	case dropIn:
		return callREST(newTransport(nil), "http://"+a.HTTP+dropInPath, http.StatusNoContent), nil
	default:
		return callGRPC(a.GRPC, connections)
	}
}

func callGRPC(addr string, connections int) (caller, error) {
	channels := make([]*grpc.ClientConn, connections)
	closeAll := func() {
		for _, c := range channels {
			if c != nil {
				_ = c.Close()
			}
		}
	}
	for i := range channels {
		var err error
		channels[i], err = grpc.NewClient("passthrough:///"+addr,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
		if err != nil {
			closeAll()
			return caller{}, err
		}
	}
	return caller{func(ctx context.Context, i int, token string) error {
		client := quashv1.NewTokenServiceClient(channels[i%len(channels)])
		resp, err := client.Revoke(ctx, &quashv1.RevokeRequest{Token: token})
		if err == nil && resp.GetOutcome() != quashv1.Outcome_OUTCOME_REVOKED {
			err = fmt.Errorf("the outcome is %s", resp.GetOutcome())
		}
		return err
	}, closeAll}, nil
}

func callREST(client *http.Transport, url string, status int) caller {
	return caller{func(ctx context.Context, _ int, token string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"token":"`+token+`"}`))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return err
		case resp.StatusCode != status:
			return errors.New("the status is " + resp.Status)
		case status == http.StatusOK && !strings.Contains(string(body), `"OUTCOME_REVOKED"`):
			return errors.New("the outcome is not OUTCOME_REVOKED")
		}
		return nil
	}, client.CloseIdleConnections}
}
