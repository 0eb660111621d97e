package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// threeDoors are all of them, in the order of the matrices.
var threeDoors = []string{doorGRPC, doorNative, doorDropIn}

// answers is what each door says of one and the same thing: the code, the reason
// and the state, behind the HTTP status where there is one. Drop-in has no code,
// and a success without a body; its reason and its state are the headers
// Quash-Error-Reason and Quash-Revocation-State.
type answers map[string]string

// failure is how the doors tell an error.
func failure(code, reason, state string, native, dropIn int) answers {
	return answers{
		doorGRPC:   fmt.Sprintf("%s %s %s", code, reason, state),
		doorNative: fmt.Sprintf("%d %s %s %s", native, code, reason, state),
		doorDropIn: fmt.Sprintf("%d %s %s", dropIn, reason, state),
	}
}

// The rows of the outcome table that faults lead to, as callers see them.
var (
	saysRevoked        = answers{doorGRPC: "OK REVOKED", doorNative: "200 REVOKED", doorDropIn: "204"}
	saysAlreadyInvalid = answers{doorGRPC: "OK ALREADY_INVALID", doorNative: "200 ALREADY_INVALID", doorDropIn: "204"}

	saysRejected      = failure("INVALID_ARGUMENT", "TOKEN_REJECTED", "NOT_APPLIED", 400, 400)
	saysInProgress    = failure("DEADLINE_EXCEEDED", "CONSISTENCY_TIMEOUT", "IN_PROGRESS", 504, 408)
	saysOpaqueTimeout = failure("DEADLINE_EXCEEDED", "CONSISTENCY_TIMEOUT", "UNKNOWN", 504, 503)
	saysKeyRefused    = failure("INTERNAL", "UPSTREAM_CREDENTIAL_REJECTED", "NOT_APPLIED", 500, 500)
	saysLimited       = failure("RESOURCE_EXHAUSTED", "UPSTREAM_RATE_LIMITED", "NOT_APPLIED", 429, 429)
	saysUnavailable   = failure("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "UNKNOWN", 503, 503)
	saysUnexpected    = failure("INTERNAL", "UPSTREAM_UNEXPECTED_RESPONSE", "UNKNOWN", 500, 500)
	saysNeverReached  = failure("UNAVAILABLE", "UPSTREAM_UNREACHABLE", "NOT_APPLIED", 503, 503)
	saysLost          = failure("UNAVAILABLE", "UPSTREAM_UNREACHABLE", "UNKNOWN", 503, 503)
	saysNoAnswer      = failure("DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT", "UNKNOWN", 504, 503)
	saysNoConnection  = failure("DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT", "NOT_APPLIED", 504, 503)
)

// state is the outcome or the revocation state that the answers agree on.
func (a answers) state() string { return a[doorGRPC][strings.LastIndexByte(a[doorGRPC], ' ')+1:] }

// told is what one caller got.
type told struct {
	// words are the answer as answers has it.
	words string
	// attempts are those in the details; -1 where there are none to tell.
	attempts int
	// everything is the whole of it, headers, trailers and details included.
	everything string
}

// doorPatience is far longer than any call of these tests takes.
const doorPatience = 2 * time.Minute

// ask asks one door to revoke token in all regions, within a timeout of whole
// seconds. It may run on any goroutine.
func ask(ctx context.Context, f *facade, door, token string, timeout time.Duration) (told, error) {
	ctx, cancel := context.WithTimeout(ctx, doorPatience)
	defer cancel()
	switch door {
	case doorGRPC:
		return askGRPC(ctx, f, token, timeout)
	case doorNative:
		return askREST(ctx, f, nativePath, http.Header{},
			fmt.Sprintf(`{"token":%q,"consistency":"CONSISTENCY_ALL_REGIONS","timeout":"%.0fs"}`, token, timeout.Seconds()))
	default:
		return askREST(ctx, f, dropInPath, http.Header{
			"Slashid-Required-Consistency":         {"all_regions"},
			"Slashid-Required-Consistency-Timeout": {fmt.Sprintf("%.0f", timeout.Seconds())},
		}, fmt.Sprintf(`{"token":%q}`, token))
	}
}

func askGRPC(ctx context.Context, f *facade, token string, timeout time.Duration) (told, error) {
	// REST has no deadline to give, so gRPC gives none either.
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	var header, trailer metadata.MD
	resp, err := f.grpc.Revoke(calling, &quashv1.RevokeRequest{
		Token:       token,
		Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
		Timeout:     durationpb.New(timeout),
	}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		return told{
			words:      "OK " + outcomeOf(resp),
			attempts:   -1,
			everything: fmt.Sprint(prototext.Format(resp), header, trailer),
		}, nil
	}
	st := status.Convert(err)
	words, attempts := wordsOfStatus(st)
	return told{words, attempts, fmt.Sprint(unpacked(st), header, trailer)}, nil
}

func askREST(ctx context.Context, f *facade, path string, header http.Header, body string) (told, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url(path), strings.NewReader(body))
	if err != nil {
		return told{}, err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return told{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return told{}, err
	}
	got := told{
		words:      strconv.Itoa(resp.StatusCode),
		attempts:   -1,
		everything: fmt.Sprint(resp.Status, resp.Header, resp.Trailer, string(data)),
	}
	switch {
	case path == dropInPath:
		for _, name := range []string{"Quash-Error-Reason", "Quash-Revocation-State"} {
			if value := resp.Header.Get(name); value != "" {
				got.words += " " + value
			}
		}
	case resp.StatusCode == http.StatusOK:
		answer := &quashv1.RevokeResponse{}
		if err := protojson.Unmarshal(data, answer); err != nil {
			return told{}, err
		}
		got.words += " " + outcomeOf(answer)
	default:
		answer := &statuspb.Status{}
		if err := protojson.Unmarshal(data, answer); err != nil {
			return told{}, err
		}
		st := status.FromProto(answer)
		words, attempts := wordsOfStatus(st)
		got.words += " " + words
		got.attempts = attempts
		got.everything += unpacked(st)
	}
	return got, nil
}

func outcomeOf(resp *quashv1.RevokeResponse) string {
	return strings.TrimPrefix(resp.GetOutcome().String(), "OUTCOME_")
}

func wordsOfStatus(st *status.Status) (words string, attempts int) {
	words = code.Code(st.Code()).String()
	var reason, state string
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *quashv1.RevokeFailure:
			state = strings.TrimPrefix(d.GetState().String(), "REVOCATION_STATE_")
			attempts = int(d.GetAttempts())
		}
	}
	return fmt.Sprintf("%s %s %s", words, reason, state), attempts
}

// unpacked is a status with its details in the clear.
func unpacked(st *status.Status) string {
	var all bytes.Buffer
	fmt.Fprintln(&all, st.Proto())
	for _, d := range st.Details() {
		fmt.Fprintln(&all, d)
	}
	return all.String()
}
