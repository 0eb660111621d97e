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
)

// said is a quash's answer: an error of its own.
func said(code codes.Code, reason string, state quashv1.RevocationState, retryAfter ...time.Duration) error {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: reason, Domain: service.ErrorDomain},
		protoadapt.MessageV1Of(&quashv1.RevokeFailure{State: state, Attempts: 1}),
	}
	for _, delay := range retryAfter {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	st, err := status.New(code, "what quash says").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func unavailable(state quashv1.RevocationState) error {
	return said(codes.Unavailable, "UPSTREAM_UNAVAILABLE", state, time.Second)
}

// lost and unreachable are gRPC's own errors: after the request has left, and before.
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

// script answers attempts in turn, nil being success.
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
	for name, test := range map[string]struct {
		answers []error
		// What the caller is told; the state does not count for OK.
		code  codes.Code
		state quashv1.RevocationState
		// allowInvalid of each attempt.
		want []bool
	}{
		"success": {
			answers: []error{nil},
			want:    []bool{false},
		},
		"a rejected token": {
			answers: []error{said(codes.InvalidArgument, "TOKEN_REJECTED", stateNotApplied)},
			code:    codes.InvalidArgument,
			state:   stateNotApplied,
			want:    []bool{false},
		},
		"unavailable, and nothing was done": {
			answers: []error{unavailable(stateNotApplied), nil},
			want:    []bool{false, false},
		},
		"unavailable, and nobody knows": {
			answers: []error{unavailable(stateUnknown), nil},
			want:    []bool{false, true},
		},
		"the connection is lost": {
			answers: []error{errLost, nil},
			want:    []bool{false, true},
		},
		"no connection": {
			answers: []error{errUnreachable, nil},
			want:    []bool{false, false},
		},
		"nobody has known since the first attempt": {
			answers: []error{errLost, unavailable(stateNotApplied), said(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, time.Second)},
			code:    codes.Unavailable,
			state:   stateUnknown,
			want:    []bool{false, true, true},
		},
		"it may have been done, and is in progress": {
			answers: []error{errLost, said(codes.DeadlineExceeded, "CONSISTENCY_TIMEOUT", inProgress)},
			code:    codes.DeadlineExceeded,
			state:   inProgress,
			want:    []bool{false, true},
		},
		"never more than three": {
			answers: []error{errUnreachable, errUnreachable, errUnreachable},
			code:    codes.Unavailable,
			state:   stateNotApplied,
			want:    []bool{false, false, false},
		},
		"quash sees no use in a repetition": {
			answers: []error{said(codes.Unavailable, "UPSTREAM_UNAVAILABLE", stateUnknown)},
			code:    codes.Unavailable,
			state:   stateUnknown,
			want:    []bool{false},
		},
		"only what is unavailable is repeated": {
			answers: []error{said(codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", stateNotApplied, time.Second)},
			code:    codes.ResourceExhausted,
			state:   stateNotApplied,
			want:    []bool{false},
		},
		"the delay is longer than the deadline": {
			answers: []error{said(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, time.Minute)},
			code:    codes.Unavailable,
			state:   stateNotApplied,
			want:    []bool{false},
		},
		"the delay is as long as there are": {
			answers: []error{said(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, math.MaxInt64)},
			code:    codes.Unavailable,
			state:   stateNotApplied,
			want:    []bool{false},
		},
		"no time left, and it was sent": {
			answers: []error{status.Error(codes.DeadlineExceeded, "out of time")},
			code:    codes.DeadlineExceeded,
			state:   stateUnknown,
			want:    []bool{false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: test.answers}
				req := &quashv1.RevokeRequest{Token: "t"}
				err := s.run(t.Context(), newRevoking(0), req)
				if got := status.Code(err); got != test.code {
					t.Errorf("code %v, want %v", got, test.code)
				}
				if failure, ok := Failure(err); ok && failure.State != test.state {
					t.Errorf("state %v, want %v", failure.State, test.state)
				}
				if len(s.asked) != len(test.want) {
					t.Fatalf("%d attempts, want %d", len(s.asked), len(test.want))
				}
				for i, a := range s.asked {
					if a.allowInvalid != test.want[i] {
						t.Errorf("attempt %d: allow_invalid %v, want %v", i+1, a.allowInvalid, test.want[i])
					}
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
		s := &script{answers: []error{
			said(codes.Unavailable, "UPSTREAM_CIRCUIT_OPEN", stateNotApplied, 4*time.Second),
			unavailable(stateNotApplied),
			nil,
		}}
		if err := s.run(t.Context(), newRevoking(0), &quashv1.RevokeRequest{}); err != nil {
			t.Fatal(err)
		}
		for i, delay := range []time.Duration{4 * time.Second, time.Second} {
			got := s.asked[i+1].after - s.asked[i].after
			if most := delay + backoffBase<<i; got < delay || got > most {
				t.Errorf("attempt %d came after %v, want %v to %v", i+2, got, delay, most)
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		callers, timeout, want time.Duration
	}{
		"neither":                   {want: 35 * time.Second},
		"a timeout":                 {timeout: 2 * time.Second, want: 7 * time.Second},
		"the longest timeout":       {timeout: 120 * time.Second, want: 125 * time.Second},
		"one that quash refuses":    {timeout: time.Hour, want: 125 * time.Second},
		"a negative one, likewise":  {timeout: -time.Hour, want: 5 * time.Second},
		"the caller's own deadline": {callers: 3 * time.Second, timeout: time.Minute, want: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.callers != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.callers)
					defer cancel()
				}
				req := &quashv1.RevokeRequest{}
				if test.timeout != 0 {
					req.Timeout = durationpb.New(test.timeout)
				}
				s := &script{answers: []error{nil}}
				if err := s.run(ctx, newRevoking(0), req); err != nil {
					t.Fatal(err)
				}
				if got := s.asked[0].left; got != test.want {
					t.Errorf("%v left, want %v", got, test.want)
				}
			})
		})
	}
}

// Quash's answer is due after any timeout that it accepts, and before the deadline.
func TestDeadlinesLeaveTimeForTheAnswer(t *testing.T) {
	t.Parallel()
	if got := maxTimeout + answerGrace; got < service.LongestCall {
		t.Errorf("a call may take %v, and has %v", service.LongestCall, got)
	}
	if maxTimeout != service.MaxTimeout || defaultTimeout != service.DefaultTimeout || errorDomain != service.ErrorDomain {
		t.Error("quash has other values")
	}
}

func TestCallersThatLeaveDuringADelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		s := &script{answers: []error{unavailable(stateUnknown)}}
		err := s.run(ctx, newRevoking(0), &quashv1.RevokeRequest{})
		failure, _ := Failure(err)
		if failure.Code != codes.Canceled || failure.State != stateUnknown {
			t.Errorf("%v, %v", failure.Code, failure.State)
		}
		if took := time.Since(s.begun); took != 500*time.Millisecond {
			t.Errorf("the caller waited for %v", took)
		}
	})
}

// A caller may want far more attempts than the back-off could double for.
func TestManyAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const failures = throttleMax/2 - 1
		s := &script{answers: append(slices.Repeat([]error{errUnreachable}, failures), nil)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.run(ctx, newRevoking(throttleMax), &quashv1.RevokeRequest{}); err != nil {
			t.Fatal(err)
		}
		for i := range failures {
			if got := s.asked[i+1].after - s.asked[i].after; got > backoffMax {
				t.Errorf("attempt %d came after %v, want at most %v", i+2, got, backoffMax)
			}
		}
	})
}

func TestWithoutRepetitions(t *testing.T) {
	t.Parallel()
	s := &script{answers: []error{errUnreachable}}
	if err := s.run(t.Context(), newRevoking(1), &quashv1.RevokeRequest{}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// What an interceptor of the caller's returns can be found in what comes out.
func TestCausesStay(t *testing.T) {
	t.Parallel()
	cause := errors.New("no credentials")
	s := &script{answers: []error{cause}}
	err := s.run(t.Context(), newRevoking(0), &quashv1.RevokeRequest{})
	if !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("%v is not %v", err, cause)
	}
	if _, ok := Failure(err); !ok {
		t.Error("it has no state")
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
		repetitions := 0
		for range throttleMax {
			repetitions += attempts(errUnreachable, errUnreachable, errUnreachable) - 1
		}
		if repetitions == 0 || repetitions > throttleMax/2 {
			t.Errorf("%d repetitions in an outage, want some, and at most %d", repetitions, throttleMax/2)
		}
		for range 10 * throttleMax {
			attempts(nil)
		}
		if n := attempts(errUnreachable, nil); n != 2 {
			t.Errorf("%d attempts after the outage, want 2", n)
		}
	})
}
