package quashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// The endpoints that clients call.
const (
	GRPC   = "grpc"
	Native = "native"
	DropIn = "drop_in"

	NativePath = "/v1/tokens:revoke"
	DropInPath = "/token/revoke"
)

// Endpoints lists all endpoints.
var Endpoints = []string{GRPC, Native, DropIn}

// Answers has the answer of each endpoint for one outcome: the HTTP status if there is one, then
// the code, the reason and the state. The drop-in endpoint has no code, and for a success only
// the status.
type Answers map[string]string

// Failure returns the answers for an error.
func Failure(code, reason, state string, native, dropIn int) Answers {
	return Answers{
		GRPC:   fmt.Sprintf("%s %s %s", code, reason, state),
		Native: fmt.Sprintf("%d %s %s %s", native, code, reason, state),
		DropIn: fmt.Sprintf("%d %s %s", dropIn, reason, state),
	}
}

// The outcomes of calls to SlashID, as callers see them.
var (
	Revoked        = Answers{GRPC: "OK REVOKED", Native: "200 REVOKED", DropIn: "204"}
	AlreadyInvalid = Answers{GRPC: "OK ALREADY_INVALID", Native: "200 ALREADY_INVALID", DropIn: "204"}

	Rejected      = Failure("INVALID_ARGUMENT", "TOKEN_REJECTED", "NOT_APPLIED", 400, 400)
	InProgress    = Failure("DEADLINE_EXCEEDED", "CONSISTENCY_TIMEOUT", "IN_PROGRESS", 504, 408)
	OpaqueTimeout = Failure("DEADLINE_EXCEEDED", "CONSISTENCY_TIMEOUT", "UNKNOWN", 504, 503)
	KeyRefused    = Failure("INTERNAL", "UPSTREAM_CREDENTIAL_REJECTED", "NOT_APPLIED", 500, 500)
	RateLimited   = Failure("RESOURCE_EXHAUSTED", "UPSTREAM_RATE_LIMITED", "NOT_APPLIED", 429, 429)
	Unavailable   = Failure("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "UNKNOWN", 503, 503)
	Unexpected    = Failure("INTERNAL", "UPSTREAM_UNEXPECTED_RESPONSE", "UNKNOWN", 500, 500)
	NeverReached  = Failure("UNAVAILABLE", "UPSTREAM_UNREACHABLE", "NOT_APPLIED", 503, 503)
	Lost          = Failure("UNAVAILABLE", "UPSTREAM_UNREACHABLE", "UNKNOWN", 503, 503)
	NoAnswer      = Failure("DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT", "UNKNOWN", 504, 503)
	NoConnection  = Failure("DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT", "NOT_APPLIED", 504, 503)
)

// State returns the outcome or the revocation state that all answers have.
func (a Answers) State() string { return a[GRPC][strings.LastIndexByte(a[GRPC], ' ')+1:] }

// Answer is an answer that a client received.
type Answer struct {
	// Text is the answer in the form of Answers.
	Text string
	// Attempts is the number of attempts in the details; -1 without details.
	Attempts int
	// Everything is the whole answer: headers, trailers, body and details.
	Everything string
}

// Ask asks an endpoint to revoke a token. It is safe to call from any goroutine. It sends the
// drop-in endpoint the consistency and the timeout, in whole seconds, as headers.
func (q *Quash) Ask(ctx context.Context, endpoint string, req *quashv1.RevokeRequest) (Answer, error) {
	switch endpoint {
	case GRPC:
		return q.askGRPC(ctx, req)
	case Native:
		body, err := protojson.Marshal(req) //nolint:forbidigo // the token belongs to a test
		if err != nil {
			return Answer{}, err
		}
		return q.askREST(ctx, NativePath, http.Header{}, body)
	default:
		header := http.Header{}
		if req.GetConsistency() == quashv1.Consistency_CONSISTENCY_ALL_REGIONS {
			header.Set("Slashid-Required-Consistency", "all_regions")
		}
		if req.GetTimeout() != nil {
			header.Set("Slashid-Required-Consistency-Timeout", strconv.FormatInt(req.GetTimeout().GetSeconds(), 10))
		}
		body, err := json.Marshal(map[string]string{"token": req.GetToken()})
		if err != nil {
			return Answer{}, err
		}
		return q.askREST(ctx, DropInPath, header, body)
	}
}

func (q *Quash) askGRPC(ctx context.Context, req *quashv1.RevokeRequest) (Answer, error) {
	// REST cannot send a deadline, so do not send one over gRPC either.
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	var header, trailer metadata.MD
	resp, err := quashv1.NewTokenServiceClient(q.Conn).Revoke(calling, req, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		return Answer{"OK " + outcomeOf(resp), -1, fmt.Sprint(resp, header, trailer)}, nil
	}
	answer := answerOf(status.Convert(err))
	answer.Everything += fmt.Sprint(header, trailer)
	return answer, nil
}

func (q *Quash) askREST(ctx context.Context, path string, header http.Header, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, q.URL+path, strings.NewReader(string(body)))
	if err != nil {
		return Answer{}, err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	resp, err := q.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	httpStatus := strconv.Itoa(resp.StatusCode)
	all := fmt.Sprint(resp.Status, resp.Header, resp.Trailer, string(data))
	switch {
	case path == DropInPath:
		text := []string{httpStatus}
		for _, name := range []string{"Quash-Error-Reason", "Quash-Revocation-State"} {
			if value := resp.Header.Get(name); value != "" {
				text = append(text, value)
			}
		}
		return Answer{strings.Join(text, " "), -1, all}, nil
	case resp.StatusCode == http.StatusOK:
		success := &quashv1.RevokeResponse{}
		err := protojson.Unmarshal(data, success)
		return Answer{httpStatus + " " + outcomeOf(success), -1, all}, err
	default:
		failure := &statuspb.Status{}
		err := protojson.Unmarshal(data, failure)
		answer := answerOf(status.FromProto(failure))
		return Answer{httpStatus + " " + answer.Text, answer.Attempts, all + answer.Everything}, err
	}
}

func outcomeOf(resp *quashv1.RevokeResponse) string {
	return strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
}

// answerOf unpacks an error with its details.
func answerOf(st *status.Status) Answer {
	var reason, state string
	answer := Answer{Everything: fmt.Sprint(st.Proto())}
	for _, d := range st.Details() {
		answer.Everything += fmt.Sprint("\n", d)
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *quashv1.RevokeFailure:
			state = strings.TrimPrefix(d.GetState().String(), "REVOCATION_STATE_")
			answer.Attempts = int(d.GetAttempts())
		}
	}
	answer.Text = fmt.Sprintf("%s %s %s", code.Code(st.Proto().GetCode()), reason, state)
	return answer
}
