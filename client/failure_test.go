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

func withDetails(code codes.Code, details ...proto.Message) error {
	v1 := make([]protoadapt.MessageV1, len(details))
	for i, d := range details {
		v1[i] = protoadapt.MessageV1Of(d)
	}
	st, err := status.New(code, "text").WithDetails(v1...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func TestFailure(t *testing.T) {
	t.Parallel()
	own := func(reason string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: reason, Domain: errorDomain}
	}
	for name, test := range map[string]struct {
		err  error
		want *FailureInfo
	}{
		"none": {},
		"not one of gRPC's": {
			err:  errors.New("text"),
			want: &FailureInfo{Code: codes.Unknown, Message: "text", State: stateUnknown},
		},
		"a context's": {
			err:  context.Canceled,
			want: &FailureInfo{Code: codes.Canceled, Message: "context canceled", State: stateUnknown},
		},
		"a delay that makes no sense": {
			err:  withDetails(codes.Aborted, &errdetails.RetryInfo{RetryDelay: durationpb.New(-time.Hour)}),
			want: &FailureInfo{Code: codes.Aborted, Message: "text", State: stateUnknown, Retryable: true},
		},
		"everything": {
			err: withDetails(codes.ResourceExhausted,
				own("UPSTREAM_RATE_LIMITED"),
				&quashv1.RevokeFailure{
					State:          stateNotApplied,
					Consistency:    quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
					Timeout:        durationpb.New(30 * time.Second),
					Elapsed:        durationpb.New(12 * time.Millisecond),
					Attempts:       2,
					UpstreamStatus: 429,
				},
				&errdetails.RequestInfo{RequestId: "id"},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Minute)},
			),
			want: &FailureInfo{
				Code:           codes.ResourceExhausted,
				Message:        "text",
				Reason:         quashv1.ErrorReason_ERROR_REASON_UPSTREAM_RATE_LIMITED,
				State:          stateNotApplied,
				Retryable:      true,
				RetryDelay:     time.Minute,
				CorrelationID:  "id",
				Consistency:    quashv1.Consistency_CONSISTENCY_ALL_REGIONS,
				Timeout:        30 * time.Second,
				Elapsed:        12 * time.Millisecond,
				Attempts:       2,
				UpstreamStatus: 429,
			},
		},
		"violations": {
			err: withDetails(codes.InvalidArgument,
				own("INVALID_REQUEST"),
				&quashv1.RevokeFailure{State: stateNotApplied},
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "timeout", Description: "too long"}}},
			),
			want: &FailureInfo{
				Code:       codes.InvalidArgument,
				Message:    "text",
				Reason:     quashv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
				State:      stateNotApplied,
				Violations: []Violation{{"timeout", "too long"}},
			},
		},
		"unavailable, says something on the way": {
			err:  status.Error(codes.Unavailable, "text"),
			want: &FailureInfo{Code: codes.Unavailable, Message: "text", State: stateUnknown, Retryable: true},
		},
		"another domain's": {
			err:  withDetails(codes.Aborted, &errdetails.ErrorInfo{Reason: "TOKEN_REJECTED", Domain: "elsewhere"}),
			want: &FailureInfo{Code: codes.Aborted, Message: "text", State: stateUnknown},
		},
		"a reason that only a newer quash has": {
			err:  withDetails(codes.Unavailable, own("BRAND_NEW"), &quashv1.RevokeFailure{State: stateNotApplied}),
			want: &FailureInfo{Code: codes.Unavailable, Message: "text", State: stateNotApplied},
		},
		"wrapped": {
			err:  fmt.Errorf("log out: %w", status.Error(codes.Canceled, "text")),
			want: &FailureInfo{Code: codes.Canceled, Message: "log out: rpc error: code = Canceled desc = text", State: stateUnknown},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Failure(test.err)
			if ok != (test.want != nil) {
				t.Errorf("reported %v", ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("unexpected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithStateKeepsWhatElseThereIs(t *testing.T) {
	t.Parallel()
	err := unavailable(stateNotApplied)
	changed := withState(err, stateUnknown)
	want, _ := Failure(err)
	want.State = stateUnknown
	got, ok := Failure(fmt.Errorf("wrapped: %w", changed))
	if !ok {
		t.Fatal("no failure")
	}
	want.Message = got.Message
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected (-want +got):\n%s", diff)
	}
	if !errors.Is(changed, err) {
		t.Error("the error itself is lost")
	}
	if again, _ := Failure(err); again.State != stateNotApplied {
		t.Error("the error itself was changed")
	}
}

// Whatever a peer sends, the caller gets a state.
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
