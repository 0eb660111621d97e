package service

import (
	"bufio"
	"cmp"
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

// Each status has its outcome, whatever ended the attempt's context in the meantime. Only
// 400 and 408 mean something else without SlashID's envelope.
func TestOutcomeOfAnAnswer(t *testing.T) {
	t.Parallel()
	known := map[int]outcome{
		204: revoked,
		400: tokenRejected,
		401: callerUnauthenticated,
		403: callerForbidden,
		408: consistencyPending,
		429: rateLimited,
		500: upstreamUnavailable,
		502: upstreamUnavailable,
		503: upstreamUnavailable,
		504: upstreamUnavailable,
	}
	withoutEnvelope := map[int]outcome{
		400: upstreamUnexpected,
		408: consistencyUnknown,
	}
	for code := 100; code <= 599; code++ {
		for _, envelope := range []bool{true, false} {
			want := cmp.Or(known[code], upstreamUnexpected)
			if !envelope {
				want = cmp.Or(withoutEnvelope[code], want)
			}
			for _, resent := range []bool{true, false} {
				for _, cause := range []error{nil, errNoAnswer, errWithdrawn, errShutdown} {
					result := slashid.Result{Status: code, Envelope: envelope, Sent: true, Resent: resent}
					if got := outcomeOf(result, cause); got != want {
						t.Errorf("%d, envelope %t, resent %t, cause %v: row %d, want %d", code, envelope, resent, cause, got, want)
					}
				}
			}
		}
	}
}

// An answer that comes before the token was sent is not about the token.
func TestOutcomeOfAnAnswerToNothing(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]outcome{
		204: upstreamUnexpected, 400: upstreamUnexpected, 408: consistencyUnknown,
		401: callerUnauthenticated, 403: callerForbidden, 429: rateLimited, 503: upstreamUnavailable,
	} {
		if got := outcomeOf(slashid.Result{Status: code, Envelope: true}, nil); got != want {
			t.Errorf("%d: row %d, want %d", code, got, want)
		}
	}
}

// Where there is no answer, the end of the context says why, and otherwise whether the
// token was sent.
func TestOutcomeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for _, tt := range []struct {
		name         string
		cause        error
		sent, unsent outcome
	}{
		{"a failure", nil, connectionLost, neverConnected},
		{"the attempt's own limit", errNoAnswer, noAnswer, noAnswer},
		{"the caller left", errWithdrawn, callerCancelled, callerCancelled},
		{"shutdown", errShutdown, callerCancelled, callerCancelled},
		{"any other end", context.Canceled, callerCancelled, callerCancelled},
	} {
		for _, err := range []error{nil, refused, context.Canceled, context.DeadlineExceeded} {
			for _, resent := range []bool{true, false} {
				if got := outcomeOf(slashid.Result{Sent: true, Resent: resent, Err: err}, tt.cause); got != tt.sent {
					t.Errorf("%s, %v, sent: row %d, want %d", tt.name, err, got, tt.sent)
				}
			}
			if got := outcomeOf(slashid.Result{Err: err}, tt.cause); got != tt.unsent {
				t.Errorf("%s, %v, not sent: row %d, want %d", tt.name, err, got, tt.unsent)
			}
		}
	}
	// BeforeSend refuses only for a caller that has left.
	if got := outcomeOf(slashid.Result{Err: slashid.ErrNotSent}, nil); got != callerCancelled {
		t.Errorf("not sent, with the context as it was: row %d, want %d", got, callerCancelled)
	}
}

// attemptOutcomes are the outcomes that an attempt may have.
func attemptOutcomes() map[outcome]bool {
	all := map[outcome]bool{internalDefect: true} // of one that panics
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

// A dead token turns SlashID's 400 into a success, quash's own credentials turn 401 and
// 403 into a defect of its configuration, and nothing else changes.
func TestOutcomeOfACall(t *testing.T) {
	t.Parallel()
	for o := range attemptOutcomes() {
		for _, own := range []bool{true, false} {
			for _, invalidIsDead := range []bool{true, false} {
				want := o
				switch {
				case invalidIsDead && o == tokenRejected:
					want = alreadyInvalid
				case own && o == callerUnauthenticated, own && o == callerForbidden:
					want = ownCredentialRejected
				}
				if got := o.ofCall(own, invalidIsDead); got != want {
					t.Errorf("row %d, own credentials %t, invalid is dead %t: row %d, want %d", o, own, invalidIsDead, got, want)
				}
			}
		}
	}
}

// What the caller asked for, and whose credentials were refused, decides what it is told.
func TestAllowInvalidAndWhoseCredentials(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		answer       step
		allowInvalid bool
		forward      bool
		want         string
	}{
		{"rejected", rejected, false, false, "TOKEN_REJECTED NOT_APPLIED"},
		{"rejected, allowed", rejected, true, false, "ALREADY_INVALID"},
		{"rejected by a proxy, allowed", foreign400, true, false, "UPSTREAM_UNEXPECTED_RESPONSE UNKNOWN"},
		{"401, allowed", unauthorized, true, false, "UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED"},
		{"403 for quash's own key", answered(http.StatusForbidden), false, false, "UPSTREAM_CREDENTIAL_REJECTED NOT_APPLIED"},
		{"401 for the caller's", unauthorized, false, true, "CALLER_CREDENTIAL_REJECTED NOT_APPLIED"},
		{"403 for the caller's", answered(http.StatusForbidden), false, true, "CALLER_CREDENTIAL_REJECTED NOT_APPLIED"},
		{"401 for the caller's, after a resend", resent(unauthorized), false, true, "CALLER_CREDENTIAL_REJECTED UNKNOWN"},
		{"rejected for the caller's, allowed", rejected, true, true, "ALREADY_INVALID"},
	} {
		s := newService(t, &script{steps: []step{tt.answer}})
		if tt.forward {
			s.cfg.APIKey = nil
		}
		ctx := incoming(t, MetadataAPIKey, "theirs")
		resp, err := s.Revoke(ctx, &quashv1.RevokeRequest{Token: "a", AllowInvalid: tt.allowInvalid})
		if got := words(t, resp, err); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
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
			Status: http.StatusTooManyRequests, Sent: true,
			CorrelationID: "7f0c", RetryAfter: time.Minute,
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
