package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

func withDetails(code codes.Code, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, "text").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func TestFailure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want *FailureInfo
	}{
		"no error": {},
		"everything": {
			withDetails(codes.ResourceExhausted,
				&errdetails.ErrorInfo{Reason: "UPSTREAM_RATE_LIMITED", Domain: errorDomain},
				protoadapt.MessageV1Of(&quashv1.RevokeFailure{
					State:       stateNotApplied,
					Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS, Timeout: durationpb.New(30 * time.Second),
					Elapsed: durationpb.New(12 * time.Millisecond), Attempts: 2, UpstreamStatus: 429,
				}),
				&errdetails.RequestInfo{RequestId: "id"},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)},
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "timeout", Description: "too long"}}},
			),
			&FailureInfo{
				Code: codes.ResourceExhausted, Message: "text",
				Reason: quashv1.ErrorReason_ERROR_REASON_UPSTREAM_RATE_LIMITED, State: stateNotApplied,
				Retryable: true, RetryDelay: time.Minute, CorrelationID: "id",
				Violations:  []Violation{{"timeout", "too long"}},
				Consistency: quashv1.Consistency_CONSISTENCY_ALL_REGIONS, Timeout: 30 * time.Second,
				Elapsed: 12 * time.Millisecond, Attempts: 2, UpstreamStatus: 429,
			},
		},
		"a newer quash's reason": {
			quashError(codes.Unavailable, "BRAND_NEW", stateNotApplied),
			&FailureInfo{Code: codes.Unavailable, Message: "text", State: stateNotApplied, Attempts: 1},
		},
		"a negative delay": {
			withDetails(codes.Aborted, &errdetails.RetryInfo{RetryDelay: durationpb.New(-time.Hour)}),
			&FailureInfo{Code: codes.Aborted, Message: "text", State: stateUnknown, Retryable: true},
		},
		"another domain": {
			withDetails(codes.Aborted, &errdetails.ErrorInfo{Reason: "TOKEN_REJECTED", Domain: "elsewhere"}),
			&FailureInfo{Code: codes.Aborted, Message: "text", State: stateUnknown},
		},
		"UNAVAILABLE of a proxy": {
			status.Error(codes.Unavailable, "text"),
			&FailureInfo{Code: codes.Unavailable, Message: "text", State: stateUnknown, Retryable: true},
		},
		"not of gRPC":  {errors.New("text"), &FailureInfo{Code: codes.Unknown, Message: "text", State: stateUnknown}},
		"of a context": {context.Canceled, &FailureInfo{Code: codes.Canceled, Message: "context canceled", State: stateUnknown}},
		"wrapped": {
			fmt.Errorf("log out: %w", status.Error(codes.Canceled, "text")),
			&FailureInfo{Code: codes.Canceled, Message: "log out: rpc error: code = Canceled desc = text", State: stateUnknown},
		},
	} {
		got, ok := Failure(tt.err)
		if diff := cmp.Diff(tt.want, got); diff != "" || ok != (tt.want != nil) {
			t.Errorf("%s: reported %t, unexpected (-want +got):\n%s", name, ok, diff)
		}
	}
}

// The caller gets a state, even from a peer that is not quash.
func FuzzFailure(f *testing.F) {
	for _, err := range []error{errLost, unavailable(stateUnknown), withDetails(codes.Aborted, &errdetails.BadRequest{})} {
		bytes, _ := proto.Marshal(status.Convert(err).Proto())
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		st := &spb.Status{}
		if proto.Unmarshal(bytes, st) != nil || st.GetCode() == 0 {
			t.Skip("no error")
		}
		failure, ok := Failure(status.FromProto(st).Err())
		if !ok || failure.State == stateUnspecified {
			t.Errorf("%v, %v", failure, ok)
		}
		a := &attempt{}
		if settled, err := a.settle(status.FromProto(st).Err(), true); err == nil || settled.State == stateNotApplied {
			t.Errorf("%v, %v", settled, err)
		}
	})
}
