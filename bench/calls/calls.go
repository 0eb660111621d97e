// Package calls makes calls to quash, and to other servers of its API: single calls (calls.go)
// and load (loops.go).
package calls

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/proctest"
)

// Transport is one of the three ways to call quash.
type Transport string

// The transports, with their names in tables.
const (
	GRPC   Transport = "gRPC"
	Native Transport = "REST, native"
	DropIn Transport = "REST, drop-in"
)

const (
	nativePath = "/v1/tokens:revoke"
	// DropInPath is the path of the drop-in route, which is also SlashID's path.
	DropInPath = "/token/revoke"
)

// FailureError is the error of a call that quash answered.
type FailureError struct{ Reason, State string }

func (f *FailureError) Error() string { return f.Reason + " " + f.State }

// failure returns a FailureError if the answer has a reason and a state, as every error answer
// of quash has. Otherwise it returns an error with the status.
func failure(reason, state, status string) error {
	if reason == "" || state == "" {
		return errors.New(status + " without reason and state")
	}
	return &FailureError{reason, strings.TrimPrefix(state, "REVOCATION_STATE_")}
}

// Client calls a server over one transport. It is safe for concurrent use.
type Client struct {
	// Call returns nil if the answer says that the token is dead. Over gRPC, i selects the
	// connection.
	Call  func(ctx context.Context, i int, r *quashv1.RevokeRequest) error
	Close func()
}

// Dial returns a client. connections is the number of gRPC connections; over REST each call in
// flight has its own HTTP/1.1 connection.
func Dial(t Transport, a proctest.Addrs, connections int) (Client, error) {
	if t == GRPC {
		return dialGRPC(a.GRPC, connections)
	}
	return REST(t, "http://"+a.HTTP, NewTransport(nil)), nil
}

func dialGRPC(addr string, connections int) (Client, error) {
	channels := make([]*grpc.ClientConn, connections)
	for i := range channels {
		var err error
		channels[i], err = grpc.NewClient("passthrough:///"+addr,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
		if err != nil {
			return Client{}, err // the channels before it have not connected yet
		}
	}
	return Client{func(ctx context.Context, i int, r *quashv1.RevokeRequest) error {
		return callGRPC(ctx, channels[i%connections], r)
	}, func() {
		for _, c := range channels {
			_ = c.Close()
		}
	}}, nil
}

func callGRPC(ctx context.Context, channel *grpc.ClientConn, r *quashv1.RevokeRequest) error {
	resp, err := quashv1.NewTokenServiceClient(channel).Revoke(ctx, r)
	if err == nil {
		return dead(resp.GetOutcome().String())
	}
	code, reason, state := Status(err)
	return failure(reason, state, code.String())
}

// Status returns what the error of a gRPC call says: its code, and quash's reason and state if it
// has them.
func Status(err error) (code codes.Code, reason, state string) {
	st := status.Convert(err)
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *quashv1.RevokeFailure:
			state = strings.TrimPrefix(detail.GetState().String(), "REVOCATION_STATE_")
		}
	}
	return st.Code(), reason, state
}

// dead returns an error unless the outcome means that the token is dead.
func dead(outcome string) error {
	switch outcome {
	case quashv1.Outcome_OUTCOME_REVOKED.String(), quashv1.Outcome_OUTCOME_ALREADY_INVALID.String():
		return nil
	}
	return fmt.Errorf("the outcome is %q", outcome)
}

// REST returns a client for a base URL. To call SlashID itself, use DropIn.
func REST(t Transport, base string, client *http.Transport) Client {
	return Client{func(ctx context.Context, _ int, r *quashv1.RevokeRequest) error {
		return callREST(ctx, t, base, client, r)
	}, client.CloseIdleConnections}
}

func callREST(ctx context.Context, t Transport, base string, client *http.Transport, r *quashv1.RevokeRequest) error {
	path, body := DropInPath, []byte(`{"token":"`+r.GetToken()+`"}`)
	header := http.Header{"Content-Type": {"application/json"}}
	switch {
	case t == Native:
		var err error
		if body, err = protojson.Marshal(r); err != nil { //nolint:forbidigo // sent, not printed
			return errors.New("the request cannot be encoded")
		}
		path = nativePath
	case r.GetConsistency() == quashv1.Consistency_CONSISTENCY_ALL_REGIONS:
		header.Set("Slashid-Required-Consistency", "all_regions")
		header.Set("Slashid-Required-Consistency-Timeout", strconv.FormatInt(r.GetTimeout().GetSeconds(), 10))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := client.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if t == DropIn {
		if resp.StatusCode == http.StatusNoContent {
			return nil
		}
		return failure(resp.Header.Get("Quash-Error-Reason"), resp.Header.Get("Quash-Revocation-State"), resp.Status)
	}
	var answer struct { // a RevokeResponse or a google.rpc.Status
		Outcome string `json:"outcome"`
		Details []struct {
			Reason string `json:"reason"`
			State  string `json:"state"`
		} `json:"details"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return errors.New(resp.Status + " with a body that cannot be decoded")
	}
	if resp.StatusCode == http.StatusOK {
		return dead(answer.Outcome)
	}
	reason, state := "", ""
	for _, detail := range answer.Details {
		reason, state = cmp.Or(reason, detail.Reason), cmp.Or(state, detail.State)
	}
	return failure(reason, state, resp.Status)
}

// NewTransport returns the transport of a well-written Go program: it keeps connections, and
// uses HTTP/2 if the server supports it.
func NewTransport(authorities []byte) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as documented
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authorities)
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return transport
}
