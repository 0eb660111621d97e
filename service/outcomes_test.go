package service

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
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

// Every row is either a success with an outcome, or an error with all its members.
func TestRowsAreComplete(t *testing.T) {
	t.Parallel()
	for o, row := range outcomes {
		if o == 0 {
			continue // outcomes count from 1
		}
		if row.when == "" || row.do == "" {
			t.Errorf("row %d is not documented", o)
		}
		if row.outcome != quashv1.Outcome_OUTCOME_UNSPECIFIED {
			if row.code != codes.OK || row.reason != 0 || row.state != 0 || row.text != "" || row.retryDelay != 0 {
				t.Errorf("row %d is a success and an error: %+v", o, row)
			}
			continue
		}
		if row.code == codes.OK || row.reason == 0 || row.state == 0 || row.text == "" {
			t.Errorf("row %d leaves something unsaid: %+v", o, row)
		}
	}
}

// The status decides the outcome, even if the attempt's context has ended. Only 204, 400 and
// 408 mean something else without SlashID's envelope, or if the token was not sent.
func TestOutcomeOfAnAnswer(t *testing.T) {
	t.Parallel()
	known := map[int]outcome{
		204: revoked, 400: tokenRejected, 401: callerUnauthenticated, 403: callerForbidden, 408: consistencyPending,
		429: rateLimited, 500: upstreamUnavailable, 502: upstreamUnavailable, 503: upstreamUnavailable, 504: upstreamUnavailable,
	}
	withoutEnvelope := map[int]outcome{400: upstreamUnexpected, 408: consistencyUnknown}
	notSent := map[int]outcome{204: upstreamUnexpected, 400: upstreamUnexpected, 408: consistencyUnknown}
	for code := 100; code <= 599; code++ {
		want := cmp.Or(known[code], upstreamUnexpected)
		for _, tt := range []struct {
			result slashid.Result
			want   outcome
		}{
			{slashid.Result{Status: code, Sent: true, Envelope: true}, want},
			{slashid.Result{Status: code, Sent: true, Envelope: true, Resent: true}, want},
			{slashid.Result{Status: code, Sent: true}, cmp.Or(withoutEnvelope[code], want)},
			{slashid.Result{Status: code, Envelope: true}, cmp.Or(notSent[code], want)},
		} {
			for _, cause := range []error{nil, errNoAnswer, errWithdrawn, errShutdown} {
				if got := outcomeOf(tt.result, cause); got != tt.want {
					t.Errorf("%+v, cause %v: row %d, want %d", tt.result, cause, got, tt.want)
				}
			}
		}
	}
}

// attemptOutcomes returns the outcomes that an attempt can have.
func attemptOutcomes() map[outcome]bool {
	all := map[outcome]bool{internalDefect: true} // if the attempt panics
	for code := 100; code <= 599; code++ {
		for _, envelope := range []bool{true, false} {
			all[outcomeOf(slashid.Result{Status: code, Envelope: envelope, Sent: true}, nil)] = true
		}
	}
	for _, sent := range []bool{true, false} {
		for _, cause := range []error{nil, errNoAnswer, errWithdrawn, errShutdown} {
			all[outcomeOf(slashid.Result{Sent: sent}, cause)] = true
		}
	}
	return all
}

// Callers write programs from the examples in errors.proto, so the test checks them against the
// table: each is a whole error with the reason that it documents.
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
	text := st.Message()
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *quashv1.RevokeFailure:
			failure = d
		case *errdetails.RetryInfo:
			retry = d
		case *errdetails.BadRequest:
			violation := FieldViolation(d.GetFieldViolations()[0].GetField())
			if invalid := InvalidRequest(violation); invalid.Error() == text && violation.Description == d.GetFieldViolations()[0].GetDescription() {
				text = invalid.row.text
			}
		}
	}
	if "ERROR_REASON_"+info.GetReason() != reason.String() || info.GetDomain() != ErrorDomain {
		t.Errorf("%s: the example's reason is %s of %s", reason, info.GetReason(), info.GetDomain())
	}
	index := slices.IndexFunc(outcomes[:], func(r row) bool { return r.reason == reason && r.text == text })
	if index < 0 {
		t.Fatalf("%s: no row has the text %q", reason, st.Message())
	}
	want := outcomes[index]
	if st.Code() != want.code || failure.GetState() != want.state || (retry != nil) != (want.retryDelay > 0) {
		t.Errorf("%s: the example is %s, %s, RetryInfo %v, the row %+v", reason, st.Code(), failure.GetState(), retry, want)
	}
}

// readExamples returns the indented JSON in the comment above each enum value.
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
