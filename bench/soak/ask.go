package main

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
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// door is one of the three ways to call quash.
type door int

const (
	overGRPC door = iota
	overNative
	overDropIn
)

var doorNames = [...]string{overGRPC: "gRPC", overNative: "native", overDropIn: "drop-in"}

const (
	nativePath = "/v1/tokens:revoke"
	dropInPath = "/token/revoke"

	headerConsistency = "slashid-required-consistency"
	headerTimeout     = "slashid-required-consistency-timeout"

	// The values of Outcome, RevocationState and ErrorReason that are looked at.
	outcomeRevoked        = "REVOKED"
	stateNotApplied       = "NOT_APPLIED"
	stateInProgress       = "IN_PROGRESS"
	stateUnknown          = "UNKNOWN"
	reasonInvalidRequest  = "INVALID_REQUEST"
	reasonTokenRejected   = "TOKEN_REJECTED"
	reasonTooShort        = "DEADLINE_TOO_SHORT"
	reasonCallerCancelled = "CALLER_CANCELLED"
)

// patience is far beyond the longest time that any of the calls may take.
const patience = 45 * time.Second

var errNoAnswer = errors.New("there was no answer within " + patience.String())

// call is one revocation to ask for, and what is known beforehand.
type call struct {
	kind   string
	door   door
	token  string
	origin origin

	allRegions   bool
	allowInvalid bool          // not for drop-in, which cannot say it
	timeout      time.Duration // whole seconds; 0 for none
	inHeaders    bool          // consistency and timeout are said by headers, as drop-in always does

	deadline time.Duration // the caller's own; 0 for none
	leaves   bool          // the caller may go before there is an answer
}

// origin is what there is to know of a token.
type origin int

const (
	// fresh tokens are alive until the call.
	fresh origin = iota
	// spent ones were revoked by a call before.
	spent
	// dead ones have expired, or are another sandbox's.
	dead
)

// answer is what a caller gets. Either outcome is set, or reason and state, or
// neither where it is none of quash's.
type answer struct {
	door          door
	status        int    // of HTTP
	code          string // of gRPC, which drop-in has not
	outcome       string // 204 over drop-in, which does not tell
	reason, state string

	// callersOwn is set where the caller's own library ended the call: it has gone,
	// or its deadline has passed.
	callersOwn bool
	// err is an answer of nobody's.
	err error
}

// label is the answer's line in the report.
func (a answer) label() string {
	switch {
	case a.callersOwn:
		return "(the caller had gone)"
	case a.err != nil:
		return "(broken)"
	case a.reason != "":
		return a.reason + " " + a.state
	}
	return cmp.Or(a.outcome, "(no details) "+a.code)
}

// wait bounds a call that has no deadline of its own, without telling quash.
func wait(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(patience, func() { cancel(errNoAnswer) })
	return ctx, func() { timer.Stop(); cancel(nil) }
}

// headers are those of SlashID's contract that the call is made with.
func (c *call) headers() map[string]string {
	h := map[string]string{}
	if !c.inHeaders {
		return h
	}
	if c.allRegions {
		h[headerConsistency] = "all_regions"
	}
	if c.timeout != 0 {
		h[headerTimeout] = strconv.Itoa(int(c.timeout.Seconds()))
	}
	return h
}

func (c *call) request() *quashv1.RevokeRequest {
	req := &quashv1.RevokeRequest{Token: c.token, AllowInvalid: c.allowInvalid}
	if c.inHeaders {
		return req
	}
	if c.allRegions {
		req.Consistency = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
	}
	if c.timeout != 0 {
		req.Timeout = durationpb.New(c.timeout)
	}
	return req
}

// askGRPC makes the call over gRPC. The caller goes when ctx ends.
func askGRPC(ctx context.Context, client quashv1.TokenServiceClient, c *call) answer {
	ctx, cancel := wait(metadata.NewOutgoingContext(ctx, metadata.New(c.headers())))
	defer cancel()
	if c.deadline != 0 {
		var cancelDeadline context.CancelFunc
		ctx, cancelDeadline = context.WithTimeout(ctx, c.deadline)
		defer cancelDeadline()
	}
	resp, err := client.Revoke(ctx, c.request())
	if errors.Is(context.Cause(ctx), errNoAnswer) {
		return answer{door: overGRPC, err: errNoAnswer}
	}
	if err != nil {
		return c.failed(status.Convert(err))
	}
	return answer{door: overGRPC, code: codes.OK.String(), outcome: outcomeName(resp)}
}

// failed is the answer of a call over gRPC that did not succeed.
func (c *call) failed(st *status.Status) answer {
	a := answerOf(overGRPC, st)
	if a.reason != "" {
		return a
	}
	// quash says it with details: so this is grpc-go, on this side.
	a.callersOwn = st.Code() == codes.DeadlineExceeded && c.deadline != 0 || st.Code() == codes.Canceled && c.leaves
	return a
}

func outcomeName(resp *quashv1.RevokeResponse) string {
	return strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
}

// answerOf reads an error's details.
func answerOf(d door, st *status.Status) answer {
	a := answer{door: d, code: st.Code().String()}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			a.reason = detail.GetReason()
		case *quashv1.RevokeFailure:
			a.state = strings.TrimPrefix(detail.GetState().String(), "REVOCATION_STATE_")
		}
	}
	return a
}

// askREST makes the call over one of the REST doors.
func askREST(ctx context.Context, client *http.Client, base string, c *call) answer {
	req := httpRequest{method: http.MethodPost, path: nativePath, header: c.headers()}
	var err error
	if c.door == overDropIn {
		req.path = dropInPath
		req.body, err = json.Marshal(map[string]string{"token": c.token})
	} else {
		req.body, err = protojson.Marshal(c.request()) //nolint:forbidigo // it is sent, not printed
	}
	if err != nil {
		return answer{door: c.door, err: errors.New("the request could not be encoded")}
	}
	return req.do(ctx, client, base, c.door, c.leaves)
}

// httpRequest is a request over REST, sound or not.
type httpRequest struct {
	method, path string
	header       map[string]string
	body         []byte
}

// do makes the request, whose caller goes when ctx ends.
func (r *httpRequest) do(ctx context.Context, client *http.Client, base string, d door, leaves bool) answer {
	ctx, cancel := wait(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{door: d, err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	switch {
	case errors.Is(context.Cause(ctx), errNoAnswer):
		return answer{door: d, err: errNoAnswer}
	case err != nil && leaves && ctx.Err() != nil:
		return answer{door: d, callersOwn: true}
	case err != nil:
		return answer{door: d, err: err}
	case d == overDropIn:
		return readDropIn(resp)
	}
	return readNative(resp, body)
}

func readDropIn(resp *http.Response) answer {
	a := answer{
		door:   overDropIn,
		status: resp.StatusCode,
		reason: resp.Header.Get("Quash-Error-Reason"),
		state:  resp.Header.Get("Quash-Revocation-State"),
	}
	if a.reason == "" && a.status == http.StatusNoContent {
		a.outcome = strconv.Itoa(a.status)
	}
	return a
}

func readNative(resp *http.Response, body []byte) answer {
	if resp.StatusCode == http.StatusOK {
		message := &quashv1.RevokeResponse{}
		if protojson.Unmarshal(body, message) != nil {
			return answer{door: overNative, err: errors.New("200 with an undecodable body")}
		}
		return answer{door: overNative, status: resp.StatusCode, code: codes.OK.String(), outcome: outcomeName(message)}
	}
	message := &statuspb.Status{}
	if protojson.Unmarshal(body, message) != nil {
		return answer{door: overNative, err: fmt.Errorf("%d with an undecodable body", resp.StatusCode)}
	}
	a := answerOf(overNative, status.FromProto(message))
	a.status = resp.StatusCode
	return a
}
