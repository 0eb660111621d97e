package client

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/service"
	"github.com/quashdev/quash/service/server"
)

// quashError returns an error that quash makes.
func quashError(code codes.Code, reason string, state quashv1.RevocationState, retryAfter ...time.Duration) error {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: reason, Domain: service.ErrorDomain},
		protoadapt.MessageV1Of(&quashv1.RevokeFailure{State: state, Attempts: 1}),
	}
	for _, delay := range retryAfter {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return withDetails(code, details...)
}

func unavailable(state quashv1.RevocationState) error {
	return quashError(codes.Unavailable, "UPSTREAM_UNAVAILABLE", state, time.Second)
}

// errLost and errUnreachable are errors that gRPC makes after and before the request is sent.
var (
	errLost        = status.Error(codes.Unavailable, "connection lost")
	errUnreachable = status.Error(codes.Unavailable, "no connection")
)

// asked is one attempt, as quash sees it.
type asked struct {
	after        time.Duration // since the call began
	left         time.Duration // of its deadline
	allowInvalid bool
}

// script answers attempts in turn; nil means success.
type script struct {
	answers []error
	asked   []asked
	begun   time.Time
}

func (s *script) invoke(ctx context.Context, _ string, req, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
	deadline, _ := ctx.Deadline()
	s.asked = append(s.asked, asked{time.Since(s.begun), time.Until(deadline), req.(*quashv1.RevokeRequest).GetAllowInvalid()})
	answer := s.answers[0]
	s.answers = s.answers[1:]
	ctx.Value(attemptKey{}).(*attempt).sent.Store(!errors.Is(answer, errUnreachable))
	return answer
}

func (s *script) run(ctx context.Context, r *revoking, req *quashv1.RevokeRequest) error {
	s.begun = time.Now()
	return r.intercept(ctx, "", req, &quashv1.RevokeResponse{}, nil, s.invoke)
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	const inProgress = quashv1.RevocationState_REVOCATION_STATE_IN_PROGRESS
	circuitOpen := func(delay time.Duration) error {
		return quashError(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, delay)
	}
	rejected := quashError(codes.InvalidArgument, "TOKEN_REJECTED", stateNotApplied)
	limited := quashError(codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", stateNotApplied, time.Second)
	pending := quashError(codes.DeadlineExceeded, "CONSISTENCY_TIMEOUT", inProgress)
	final := quashError(codes.Unavailable, "UPSTREAM_UNAVAILABLE", stateUnknown)
	late := status.Error(codes.DeadlineExceeded, "out of time")
	const no, yes = false, true
	for _, tt := range []struct {
		name    string
		answers []error
		code    codes.Code
		state   quashv1.RevocationState // if the code is not OK
		want    []bool                  // allowInvalid of each attempt
	}{
		{"success", []error{nil}, codes.OK, 0, []bool{no}},
		{"a rejected token", []error{rejected}, codes.InvalidArgument, stateNotApplied, []bool{no}},
		{"unavailable, NOT_APPLIED", []error{unavailable(stateNotApplied), nil}, codes.OK, 0, []bool{no, no}},
		{"unavailable, UNKNOWN", []error{unavailable(stateUnknown), nil}, codes.OK, 0, []bool{no, yes}},
		{"the connection is lost", []error{errLost, nil}, codes.OK, 0, []bool{no, yes}},
		{"no connection", []error{errUnreachable, nil}, codes.OK, 0, []bool{no, no}},
		{"UNKNOWN since the first attempt", []error{errLost, unavailable(stateNotApplied), circuitOpen(1)}, codes.Unavailable, stateUnknown, []bool{no, yes, yes}},
		{"IN_PROGRESS after UNKNOWN", []error{errLost, pending}, codes.DeadlineExceeded, inProgress, []bool{no, yes}},
		{"never more than three", []error{errUnreachable, errUnreachable, errUnreachable}, codes.Unavailable, stateNotApplied, []bool{no, no, no}},
		{"quash says that a retry cannot help", []error{final}, codes.Unavailable, stateUnknown, []bool{no}},
		{"only UNAVAILABLE is repeated", []error{limited}, codes.ResourceExhausted, stateNotApplied, []bool{no}},
		{"a delay beyond the deadline", []error{circuitOpen(time.Minute)}, codes.Unavailable, stateNotApplied, []bool{no}},
		{"the longest delay there is", []error{circuitOpen(math.MaxInt64)}, codes.Unavailable, stateNotApplied, []bool{no}},
		{"no time left, and it was sent", []error{late}, codes.DeadlineExceeded, stateUnknown, []bool{no}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: tt.answers}
				req := &quashv1.RevokeRequest{Token: "t"}
				err := s.run(t.Context(), newRevoking(0), req)
				if got := status.Code(err); got != tt.code {
					t.Errorf("code %v, want %v", got, tt.code)
				}
				if failure, ok := Failure(err); ok && failure.State != tt.state {
					t.Errorf("state %v, want %v", failure.State, tt.state)
				}
				var allowInvalid []bool
				for _, a := range s.asked {
					allowInvalid = append(allowInvalid, a.allowInvalid)
				}
				if !slices.Equal(allowInvalid, tt.want) {
					t.Errorf("allow_invalid by attempt: %v, want %v", allowInvalid, tt.want)
				}
				if req.GetAllowInvalid() {
					t.Error("the caller's own request was changed")
				}
			})
		})
	}
}

func TestDelaysAreObeyed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		delays := []time.Duration{4 * time.Second, time.Second}
		s := &script{answers: []error{
			quashError(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, delays[0]),
			quashError(codes.Unavailable, "UPSTREAM_UNAVAILABLE", stateNotApplied, delays[1]),
			nil,
		}}
		if err := s.run(t.Context(), newRevoking(0), &quashv1.RevokeRequest{}); err != nil {
			t.Fatal(err)
		}
		for i, delay := range delays {
			got := s.asked[i+1].after - s.asked[i].after
			if most := delay + backoffBase<<i; got < delay || got > most {
				t.Errorf("attempt %d came after %v, want %v to %v", i+2, got, delay, most)
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ own, timeout, want time.Duration }{
		"neither":                   {want: 35 * time.Second},
		"a timeout":                 {timeout: 2 * time.Second, want: 7 * time.Second},
		"one that quash rejects":    {timeout: time.Hour, want: 125 * time.Second},
		"a negative one":            {timeout: -time.Hour, want: 5 * time.Second},
		"the caller's own deadline": {own: 3 * time.Second, timeout: time.Minute, want: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.own != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.own)
					defer cancel()
				}
				req := &quashv1.RevokeRequest{}
				if tt.timeout != 0 {
					req.Timeout = durationpb.New(tt.timeout)
				}
				s := &script{answers: []error{nil}}
				if err := s.run(ctx, newRevoking(0), req); err != nil {
					t.Fatal(err)
				}
				if got := s.asked[0].left; got != tt.want {
					t.Errorf("%v to the deadline, want %v", got, tt.want)
				}
			})
		})
	}
}

// The client does not import the server's packages, so it repeats some of their constants.
func TestClientAgreesWithQuash(t *testing.T) {
	t.Parallel()
	limits := server.DefaultLimits
	for what, ok := range map[string]bool{
		"an answer is due before the deadline":        maxTimeout+answerGrace >= service.LongestCall,
		"timeouts":                                    maxTimeout == service.MaxTimeout && defaultTimeout == service.DefaultTimeout,
		"the domain of errors":                        errorDomain == service.ErrorDomain,
		"pings are rarer than quash disconnects for":  pingAfter >= 2*limits.PingInterval,
		"what the client rejects, quash rejects, too": maxRequestBytes >= limits.RequestBytes,
	} {
		if !ok {
			t.Error(what)
		}
	}
}

func TestCallersThatLeaveDuringADelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		s := &script{answers: []error{unavailable(stateUnknown)}}
		failure, _ := Failure(s.run(ctx, newRevoking(0), &quashv1.RevokeRequest{}))
		if took := time.Since(s.begun); failure.Code != codes.Canceled || failure.State != stateUnknown || took != 500*time.Millisecond {
			t.Errorf("%v, %v after %v", failure.Code, failure.State, took)
		}
	})
}

// An error of the program's own interceptor can be unwrapped from the error of a call.
func TestCausesStay(t *testing.T) {
	t.Parallel()
	cause := errors.New("no credentials")
	s := &script{answers: []error{cause}}
	if err := s.run(t.Context(), newRevoking(0), &quashv1.RevokeRequest{}); !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("%v is not %v", err, cause)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(0)
		attempts := func(answers ...error) int {
			s := &script{answers: answers}
			_ = s.run(t.Context(), r, &quashv1.RevokeRequest{})
			return len(s.asked)
		}
		retries := 0
		for range throttleMax {
			retries += attempts(errUnreachable, errUnreachable, errUnreachable) - 1
		}
		if retries == 0 || retries > throttleMax/2 {
			t.Errorf("%d retries in an outage, want some, and at most %d", retries, throttleMax/2)
		}
		for range 10 * throttleMax {
			attempts(nil)
		}
		if n := attempts(errUnreachable, nil); n != 2 {
			t.Errorf("%d attempts after the outage, want 2", n)
		}
	})
}
