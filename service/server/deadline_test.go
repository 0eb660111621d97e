package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
	"github.com/quashdev/quash/internal/upstreamtest"
	"github.com/quashdev/quash/service/slashid"
)

// The deadline margin lets the answer arrive before the caller's own timer fires: 200 callers
// whose deadlines pass while SlashID is silent all get the error details.
func TestDetailsArriveBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := upstreamtest.Func(func(ctx context.Context, req slashid.Request) slashid.Result {
			sent := req.BeforeSend()
			<-ctx.Done()
			return slashid.Result{Sent: sent, Err: ctx.Err()}
		})
		client := quashv1.NewTokenServiceClient(serveInMemory(t, 20*time.Millisecond, silent, Limits{}, false).dialGRPC(t))
		var calls sync.WaitGroup
		for i := range 200 {
			calls.Go(func() {
				// Deadlines of 100 ms to 2.09 s: some pass one by one, some together.
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+10*(i/2*2))*time.Millisecond)
				defer cancel()
				_, err := client.Revoke(ctx, &quashv1.RevokeRequest{Token: fmt.Sprint("token-", i)})
				st := status.Convert(err)
				if st.Code() != codes.DeadlineExceeded || errorInfo(st).GetReason() != "UPSTREAM_TIMEOUT" ||
					detail[*quashv1.RevokeFailure](st).GetState() != quashv1.RevocationState_REVOCATION_STATE_UNKNOWN {
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		calls.Wait()
	})
}
