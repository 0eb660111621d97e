package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// The tests here are of real gRPC clients in fake time, so that what they show
// does not depend on how busy the machine is.

// With a margin the answer is given before the caller's clock ends the call: of 200
// callers whose deadlines pass while SlashID is silent, each is told what is known,
// and none only that its time is over. (How large a margin a busy machine needs is
// for TestDetailsArriveInRealTime.)
func TestDetailsArriveBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	const callers = 200
	synctest.Test(t, func(t *testing.T) {
		client := dialInMemory(t, 20*time.Millisecond, upstreamtest.Func(
			func(ctx context.Context, req slashid.Request) slashid.Result {
				req.BeforeSend()
				<-ctx.Done()
				return slashid.Result{Sent: true, Err: ctx.Err()}
			}))
		var detailed atomic.Int32
		var calls sync.WaitGroup
		for i := range callers {
			calls.Go(func() {
				// Deadlines of 100 ms to 2.09 s, so that they pass one by one and together.
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+10*(i/2*2))*time.Millisecond)
				defer cancel()
				_, err := client.Revoke(ctx, &quashv1.RevokeRequest{Token: fmt.Sprint("token-", i)})
				st := status.Convert(err)
				failure := detail[*quashv1.RevokeFailure](st)
				if st.Code() == codes.DeadlineExceeded && errorInfo(st).GetReason() == "UPSTREAM_TIMEOUT" &&
					failure.GetState() == quashv1.RevocationState_REVOCATION_STATE_UNKNOWN {
					detailed.Add(1)
				}
			})
		}
		calls.Wait()
		if got := detailed.Load(); got != callers {
			t.Errorf("%d of %d calls received their details", got, callers)
		}
		t.Logf("%d of %d calls received their details", detailed.Load(), callers)
	})
}

const retryEverything = `{"methodConfig": [{
	"name": [{"service": "quash.v1.TokenService"}],
	"retryPolicy": {
		"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1,
		"retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT"]
	}
}]}`

// A grpc-go client with a retry policy comes back when the server says so rather
// than when its own policy has it, and not at all where that cannot help.
func TestClientObeysPushback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		result slashid.Result
		// wait is between the client's calls; 0 means that there is but one.
		wait time.Duration
	}{
		{"rate limited", slashid.Result{Sent: true, Status: http.StatusTooManyRequests, RetryAfter: time.Minute}, time.Minute},
		{"unavailable", slashid.Result{Sent: true, Status: http.StatusServiceUnavailable, RetryAfter: 90 * time.Second}, 90 * time.Second},
		{"consistency not reached", slashid.Result{Sent: true, Status: http.StatusRequestTimeout, Envelope: true}, 0},
		{"token rejected", slashid.Result{Sent: true, Status: http.StatusBadRequest, Envelope: true}, 0},
		{"unexpected", slashid.Result{Sent: true, Status: http.StatusFound}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := make(chan time.Time, 10)
				client := dialInMemory(t, 0, upstreamtest.Func(func(context.Context, slashid.Request) slashid.Result {
					calls <- time.Now()
					result := tt.result
					result.Sent = true
					return result
				}), grpc.WithDefaultServiceConfig(retryEverything))
				if _, err := client.Revoke(t.Context(), &quashv1.RevokeRequest{Token: "a"}); err == nil {
					t.Error("the call succeeded")
				}
				first := <-calls
				select {
				case second := <-calls:
					if got := second.Sub(first); got != tt.wait {
						t.Errorf("the client came back after %s, want %s (0s: never)", got, tt.wait)
					}
				default:
					if tt.wait != 0 {
						t.Error("the client did not come back")
					}
				}
				if len(calls) > 0 {
					t.Error("the client came back a second time")
				}
			})
		})
	}
}
