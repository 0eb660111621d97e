package soak

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// transport is one of the three ways to call quash.
type transport int

const (
	overGRPC transport = iota
	native
	dropIn
)

var transports = [...]string{overGRPC: "gRPC", native: "native", dropIn: "drop-in"}

const (
	nativePath = "/v1/tokens:revoke"
	dropInPath = "/token/revoke"
)

// patience is far beyond the longest time that a call may take.
const patience = 45 * time.Second

// The causes of a call's context being cancelled.
var (
	errNoAnswer = errors.New("there was no answer within " + patience.String())
	errLeft     = errors.New("the caller left")
)

// call is a revocation to ask for, and what is known of it beforehand.
type call struct {
	transport    transport
	token        string
	malformed    bool // the token is not one
	repeated     bool // the token was revoked by a call before
	allRegions   bool
	allowInvalid bool // drop-in cannot say it
	timeout      time.Duration
	deadline     time.Duration // the caller's own, over gRPC; 0 for none
	leaves       time.Duration // when the caller leaves; 0 for not
}

// String describes the call without its token.
func (c *call) String() string {
	return fmt.Sprintf("call over %s (malformed %t, repeated %t, all regions %t, timeout %s, deadline %s, leaves %s)",
		transports[c.transport], c.malformed, c.repeated, c.allRegions, c.timeout, c.deadline, c.leaves)
}

// answer is what a caller gets: an outcome, or a reason and a state, or neither.
type answer struct {
	outcome       string // REVOKED, ALREADY_INVALID, or 204 over drop-in
	reason, state string
	left          bool  // the caller left, or its deadline passed, before there was one
	err           error // there was none, or none that quash gives
}

// label names the answer in the report.
func (a answer) label() string {
	switch {
	case a.outcome != "":
		return a.outcome
	case a.left:
		return "(the caller left)"
	case a.err != nil:
		return "(broken)"
	}
	return a.reason + " " + a.state
}

// ask makes the call.
func (c *call) ask(ctx context.Context, to *client) answer {
	// The contexts do not say when they end, or gRPC would tell quash.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(patience, func() { cancel(errNoAnswer) }).Stop()
	if c.leaves > 0 {
		defer time.AfterFunc(c.leaves, func() { cancel(errLeft) }).Stop()
	}
	ask := c.askREST
	if c.transport == overGRPC {
		ask = c.askGRPC
	}
	a := ask(ctx, to)
	switch cause := context.Cause(ctx); {
	case a.err == nil:
	case errors.Is(cause, errLeft):
		return answer{left: true}
	case cause != nil:
		a.err = cause
	}
	return a
}

func (c *call) request() *quashv1.RevokeRequest {
	req := &quashv1.RevokeRequest{Token: c.token, AllowInvalid: c.allowInvalid}
	if c.allRegions {
		req.Consistency = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	if c.timeout != 0 {
		req.Timeout = durationpb.New(c.timeout)
	}
	return req
}

func (c *call) askGRPC(ctx context.Context, to *client) answer {
	if c.deadline != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.deadline)
		defer cancel()
	}
	resp, err := quashv1.NewTokenServiceClient(to.channel).Revoke(ctx, c.request())
	if err == nil {
		return answer{outcome: strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")}
	}
	a := failed(status.Convert(err))
	if a.err != nil && c.deadline != 0 && status.Code(err) == codes.DeadlineExceeded {
		return answer{left: true} // grpc-go says so itself, without details
	}
	return a
}

// failed reads the details of an error.
func failed(st *status.Status) (a answer) {
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			a.reason = detail.GetReason()
		case *quashv1.RevokeFailure:
			a.state = strings.TrimPrefix(detail.GetState().String(), "REVOCATION_STATE_")
		}
	}
	return a.complete(st.Code().String())
}

// complete returns the answer to a call that failed: quash always gives reason and state.
func (a answer) complete(status string) answer {
	if a.reason == "" || a.state == "" {
		return answer{err: errors.New(status + " without reason and state")}
	}
	return a
}

func (c *call) askREST(ctx context.Context, to *client) answer {
	path := nativePath
	body, err := protojson.Marshal(c.request()) //nolint:forbidigo // it is sent, not printed
	if c.transport == dropIn {
		path = dropInPath
		body, err = json.Marshal(map[string]string{"token": c.token})
	}
	if err != nil {
		return answer{err: errors.New("the request could not be encoded")}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.rest+path, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	if c.transport == dropIn && c.allRegions {
		req.Header.Set("Slashid-Required-Consistency", "all_regions")
	}
	if c.transport == dropIn && c.timeout != 0 {
		req.Header.Set("Slashid-Required-Consistency-Timeout", strconv.Itoa(int(c.timeout.Seconds())))
	}
	resp, err := to.http.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err}
	}
	return restAnswer(resp.StatusCode, resp.Header, body)
}

// restAnswer reads the headers of the drop-in route, or the JSON of the native one, which
// is a RevokeResponse or a google.rpc.Status.
func restAnswer(code int, header http.Header, body []byte) answer {
	a := answer{reason: header.Get("Quash-Error-Reason"), state: header.Get("Quash-Revocation-State")}
	var message struct {
		Outcome string `json:"outcome"`
		Details []struct {
			Reason string `json:"reason"`
			State  string `json:"state"`
		} `json:"details"`
	}
	switch {
	case code == http.StatusNoContent:
		return answer{outcome: "204"}
	case a.reason == "" && json.Unmarshal(body, &message) != nil:
		return answer{err: fmt.Errorf("%d with a body that cannot be decoded", code)}
	case code == http.StatusOK:
		return answer{outcome: strings.TrimPrefix(message.Outcome, "OUTCOME_")}
	}
	for _, detail := range message.Details {
		a.reason = cmp.Or(a.reason, detail.Reason)
		a.state = cmp.Or(a.state, strings.TrimPrefix(detail.State, "REVOCATION_STATE_"))
	}
	return a.complete(strconv.Itoa(code))
}
