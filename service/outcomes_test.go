package service

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

func incoming(t *testing.T, pairs ...string) context.Context {
	t.Helper()
	return metadata.NewIncomingContext(t.Context(), metadata.Pairs(pairs...))
}

// failureOf checks an error's code and reason, and returns its RevokeFailure.
func failureOf(t *testing.T, err error, code codes.Code, reason string) *quashv1.RevokeFailure {
	t.Helper()
	var own *Error
	if !errors.As(err, &own) {
		t.Fatalf("%v is not an *Error", err)
	}
	st := status.Convert(err)
	if st.Code() != code || own.Code() != code {
		t.Errorf("code %s (%s), want %s", st.Code(), own.Code(), code)
	}
	var failure *quashv1.RevokeFailure
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetReason() != reason || d.GetDomain() != ErrorDomain {
				t.Errorf("reason %s of domain %s, want %s", d.GetReason(), d.GetDomain(), reason)
			}
		case *quashv1.RevokeFailure:
			failure = d
		}
	}
	if failure == nil {
		t.Fatalf("no RevokeFailure among %v", st.Details())
	}
	return failure
}

// A row without an outcome is an error, and an error says everything.
func TestRowsAreComplete(t *testing.T) {
	t.Parallel()
	for s, row := range outcomes {
		if s == 0 {
			continue // situations count from 1
		}
		if row.when == "" || row.do == "" {
			t.Errorf("row %d is not documented", s)
		}
		if row.outcome != quashv1.Outcome_OUTCOME_UNSPECIFIED {
			if row.code != codes.OK || row.reason != 0 || row.state != 0 || row.text != "" || row.retryDelay != 0 {
				t.Errorf("row %d is a success and an error: %+v", s, row)
			}
			continue
		}
		if row.code == codes.OK || row.reason == 0 || row.state == 0 || row.text == "" {
			t.Errorf("row %d leaves something unsaid: %+v", s, row)
		}
	}
}

// Every kind of result has its row; what has none would be reported as a defect.
func TestEveryKindHasARow(t *testing.T) {
	t.Parallel()
	for kind := slashid.Revoked; kind <= slashid.KeptBack; kind++ {
		for _, own := range []bool{false, true} {
			if situationOf(kind, own, false) == internalDefect {
				t.Errorf("%s has no row", kind)
			}
		}
	}
	if got := situationOf(slashid.KeptBack+1, true, false); got != internalDefect {
		t.Errorf("an unknown kind has row %d", got)
	}
}

// allow_invalid turns SlashID's 400 into a success, and nothing else.
func TestAllowInvalid(t *testing.T) {
	t.Parallel()
	for kind := slashid.Revoked; kind <= slashid.Cancelled; kind++ {
		with, without := situationOf(kind, true, true), situationOf(kind, true, false)
		if (with != without) != (kind == slashid.TokenRejected) {
			t.Errorf("%s: row %d with allow_invalid, row %d without", kind, with, without)
		}
	}
}

// The examples in errors.proto are what callers program against, so they are held
// against the table: each is a whole error of the reason that it documents.
func TestExamplesInTheProto(t *testing.T) {
	t.Parallel()
	examples := readExamples(t, "../proto/quash/v1/errors.proto")
	for number, name := range quashv1.ErrorReason_name {
		if number == 0 {
			continue
		}
		example, ok := examples[name]
		if !ok {
			t.Errorf("%s has no example", name)
			continue
		}
		st := &statuspb.Status{}
		if err := protojson.Unmarshal([]byte(example), st); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkExample(t, quashv1.ErrorReason(number), status.FromProto(st))
	}
}

func checkExample(t *testing.T, reason quashv1.ErrorReason, st *status.Status) {
	t.Helper()
	var info *errdetails.ErrorInfo
	var failure *quashv1.RevokeFailure
	var retry *errdetails.RetryInfo
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *quashv1.RevokeFailure:
			failure = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if "ERROR_REASON_"+info.GetReason() != reason.String() || info.GetDomain() != ErrorDomain {
		t.Errorf("%s: the example's reason is %s of %s", reason, info.GetReason(), info.GetDomain())
	}
	index := slices.IndexFunc(outcomes[:], func(r row) bool { return r.reason == reason && r.text == st.Message() })
	if index < 0 {
		if !slices.ContainsFunc(outcomes[:], func(r row) bool { return r.reason == reason }) {
			return // a reason of a feature that is not there yet
		}
		t.Errorf("%s: no row has the text %q", reason, st.Message())
		return
	}
	want := outcomes[index]
	if st.Code() != want.code {
		t.Errorf("%s: code %s, want %s", reason, st.Code(), want.code)
	}
	if failure.GetState() != want.state {
		t.Errorf("%s: state %s, want %s", reason, failure.GetState(), want.state)
	}
	if (retry != nil) != (want.retryDelay > 0) {
		t.Errorf("%s: RetryInfo %v, the row's delay %s", reason, retry, want.retryDelay)
	}
}

// readExamples returns the JSON that stands indented in the comment above each
// enum value.
func readExamples(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	examples := map[string]string{}
	var example strings.Builder
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if text, ok := strings.CutPrefix(line, "//     "); ok {
			example.WriteString(text)
			continue
		}
		if name, _, ok := strings.Cut(line, " = "); ok && example.Len() > 0 {
			examples[name] = example.String()
			example.Reset()
		}
	}
	return examples
}

// A correlation id, and Retry-After, come along wherever SlashID answered.
func TestWhatSlashIDSaidComesAlong(t *testing.T) {
	t.Parallel()
	_, err := newService(t, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
		return slashid.Result{
			Kind: slashid.RateLimited, Status: http.StatusTooManyRequests, Sent: true,
			CorrelationID: "7f0c", RetryAfter: time.Minute, RetryAfterSet: true,
		}
	})).Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"})
	failure := failureOf(t, err, codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED")
	if failure.GetUpstreamStatus() != 429 || failure.GetAttempts() != 1 || failure.GetTimeout().AsDuration() != DefaultTimeout {
		t.Errorf("failure: %v", failure)
	}
	var requestID string
	var retry *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.RequestInfo:
			requestID = d.GetRequestId()
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	if requestID != "7f0c" || retry == nil || retry.GetRetryDelay().AsDuration() != time.Minute {
		t.Errorf("request id %q, retry %v", requestID, retry)
	}
}
