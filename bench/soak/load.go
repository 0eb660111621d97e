package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quashdev/quash/bench/calls"
	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/sandbox"
)

const (
	callers = 128
	// rate is the maximum of calls per second, all callers together: an easy load for the
	// sandbox, which verifies signatures, on a shared machine.
	rate     = 300
	channels = 4 // connections over gRPC
	// patience is far longer than any call may take.
	patience = 45 * time.Second
)

var transports = []calls.Transport{calls.GRPC, calls.Native, calls.DropIn}

// errLeft is the result of a call whose caller disconnected before the answer.
var errLeft = errors.New("(the caller disconnected)")

// answered is a finished call.
type answered struct {
	token  string
	result error
}

// load makes calls for the time of the plan, each with a new token, and waits for their answers.
// It closes all its connections. The number of concurrent calls is bounded, because the runtime
// keeps memory for the highest number of goroutines so far.
func (s *soak) load(ctx context.Context) ([]answered, error) {
	clients := make([]calls.Client, len(transports))
	for i, t := range transports {
		var err error
		if clients[i], err = calls.Dial(t, s.Addrs, channels); err != nil {
			return nil, err
		}
		defer clients[i].Close()
	}
	answers := make([][]answered, callers)
	_, err := calls.ClosedLoop(ctx, callers, s.plan.load, func(ctx context.Context, caller int) error {
		next := time.Now().Add(callers * time.Second / rate)
		token, err := s.Mint(sandbox.MintOptions{})
		if err != nil {
			return fmt.Errorf("mint a token: %w", err)
		}
		t := rand.IntN(len(transports)) //nolint:gosec // not a secret
		client := clients[t]
		if oneIn(8) { // use a new connection
			if client, err = calls.Dial(transports[t], s.Addrs, 1); err != nil {
				return err
			}
			defer client.Close()
		}
		answers[caller] = append(answers[caller], answered{token, call(ctx, client, caller, token)})
		pause(ctx, time.Until(next))
		return ctx.Err()
	})
	return slices.Concat(answers...), err
}

// call makes a call with random properties.
func call(ctx context.Context, client calls.Client, i int, token string) error {
	r := &quashv1.RevokeRequest{Token: token}
	if oneIn(2) {
		r.Consistency = quashv1.Consistency_CONSISTENCY_ALL_REGIONS
		r.Timeout = &durationpb.Duration{Seconds: 1 + rand.Int64N(3)} //nolint:gosec // not a secret
	}
	deadline, leaves := patience, oneIn(5)
	if leaves {
		deadline = time.Millisecond * time.Duration(rand.IntN(500)) //nolint:gosec // not a secret
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := client.Call(ctx, i, r)
	if failure := new(calls.FailureError); leaves && err != nil && !errors.As(err, &failure) {
		return errLeft
	}
	return err
}

func oneIn(n int) bool { return rand.IntN(n) == 0 } //nolint:gosec // not a secret

// reasons are the expected reasons of failures. Any other reason is a defect of quash: it does
// not shut down during the run, its key is valid, and the load is below its limits. The faults
// must cause each of these reasons at least once; otherwise they test less than intended.
var reasons = []string{
	"CONSISTENCY_TIMEOUT", "UPSTREAM_RATE_LIMITED", "UPSTREAM_UNAVAILABLE", "UPSTREAM_UNEXPECTED_RESPONSE",
	"UPSTREAM_UNREACHABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_CIRCUIT_OPEN", "DEADLINE_TOO_SHORT",
}

// wrong returns what is wrong with the result of a call, or "". Call it after the cycle, when
// every revocation has reached all regions, so that it is known whether the token is dead.
func wrong(result error, anywhere, everywhere bool) string {
	failure := new(calls.FailureError)
	switch {
	case result == nil && !everywhere:
		return "success, but the token is alive"
	case result == nil || errors.Is(result, errLeft):
		return ""
	case !errors.As(result, &failure):
		return result.Error()
	case !slices.Contains(reasons, failure.Reason):
		return failure.Error() + ", which no fault explains"
	case failure.State == "NOT_APPLIED" && anywhere:
		return failure.Error() + ", but the token is dead"
	case failure.State == "IN_PROGRESS" && !everywhere:
		return failure.Error() + ", but the token is still alive"
	}
	return ""
}

// judge counts the results of a cycle and fails if one is wrong.
func (s *soak) judge(answers []answered) error {
	var complaints []error
	for _, a := range answers {
		label := "dead"
		if a.result != nil {
			label = a.result.Error()
		}
		s.counts[label]++
		anywhere, everywhere, err := s.Dead(a.token)
		if err != nil {
			return err
		}
		if complaint := wrong(a.result, anywhere, everywhere); complaint != "" {
			complaints = append(complaints, errors.New(complaint))
		}
	}
	if n := len(complaints); n > 0 {
		return fmt.Errorf("%d answers were wrong; the first are:\n%w", n, errors.Join(complaints[:min(n, 20)]...))
	}
	return nil
}
