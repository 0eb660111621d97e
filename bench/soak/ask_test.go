package main

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

func unavailable(t *testing.T) *status.Status {
	t.Helper()
	st, err := status.New(codes.Unavailable, "text").WithDetails(
		&errdetails.ErrorInfo{Reason: "UPSTREAM_UNREACHABLE", Domain: "quash"},
		&quashv1.RevokeFailure{State: quashv1.RevocationState_REVOCATION_STATE_NOT_APPLIED},
	)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestFailedOverGRPC(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		call call
		st   *status.Status
		want answer
	}{
		{"with details", call{leaves: true}, unavailable(t), answer{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied}},
		{"the caller's deadline", call{deadline: time.Second}, status.New(codes.DeadlineExceeded, ""), answer{code: "DeadlineExceeded", callersOwn: true}},
		{"nobody's deadline", call{leaves: true}, status.New(codes.DeadlineExceeded, ""), answer{code: "DeadlineExceeded"}},
		{"the caller has gone", call{leaves: true}, status.New(codes.Canceled, ""), answer{code: "Canceled", callersOwn: true}},
		{"nobody has gone", call{deadline: time.Second}, status.New(codes.Canceled, ""), answer{code: "Canceled"}},
		{"the connection is lost", call{leaves: true, deadline: time.Second}, status.New(codes.Unavailable, ""), answer{code: "Unavailable"}},
	} {
		if got := tc.call.failed(tc.st); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestReadNative(t *testing.T) {
	t.Parallel()
	body, err := protojson.Marshal(unavailable(t).Proto())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   answer
		broken bool
	}{
		{"success", 200, `{"outcome":"OUTCOME_ALREADY_INVALID"}`, answer{code: "OK", outcome: "ALREADY_INVALID"}, false},
		{"failure", 503, string(body), answer{code: "Unavailable", reason: "UPSTREAM_UNREACHABLE", state: stateNotApplied}, false},
		{"not ours", 503, "<html>", answer{}, true},
		{"half a success", 200, `{"outcome":`, answer{}, true},
	} {
		got := readNative(&http.Response{StatusCode: tc.status}, []byte(tc.body))
		if broken := got.err != nil; broken != tc.broken {
			t.Errorf("%s: %v", tc.name, got.err)
		}
		if tc.broken {
			continue
		}
		tc.want.door, tc.want.status = overNative, tc.status
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestReadDropIn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		resp   http.Response
		want   answer
		labels string
	}{
		{"success", http.Response{StatusCode: http.StatusNoContent}, answer{outcome: "204"}, "204"},
		{
			"failure",
			http.Response{StatusCode: http.StatusRequestTimeout, Header: http.Header{"Quash-Error-Reason": {"CONSISTENCY_TIMEOUT"}, "Quash-Revocation-State": {"IN_PROGRESS"}}},
			answer{reason: "CONSISTENCY_TIMEOUT", state: stateInProgress},
			"CONSISTENCY_TIMEOUT IN_PROGRESS",
		},
		{"not ours", http.Response{StatusCode: http.StatusServiceUnavailable}, answer{}, "(no details) "},
	} {
		tc.want.door, tc.want.status = overDropIn, tc.resp.StatusCode
		got := readDropIn(&tc.resp)
		if got != tc.want || got.label() != tc.labels {
			t.Errorf("%s: %+v %q, want %+v %q", tc.name, got, got.label(), tc.want, tc.labels)
		}
	}
}
