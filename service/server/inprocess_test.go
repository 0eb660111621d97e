package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// A call in the process is told of like one over a network: when it began and ended, and
// what came of it. The metadata that it is made with is what the service is sent.
func TestCallsInProcessAreToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := &takingASecond{}
		var told onlyEnds
		c := newInProcess(svc, pushback, &told)
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("slashid-sdkversion", "1.2.3"))
		_, err := c.Revoke(ctx, &quashv1.RevokeRequest{})
		if err == nil || !errors.Is(told.end.Error, err) {
			t.Errorf("ended with %v, and was told to with %v", err, told.end.Error)
		}
		if took := told.end.EndTime.Sub(told.end.BeginTime); took != time.Second {
			t.Errorf("it took %s", took)
		}
		if got := svc.md.Get("slashid-sdkversion"); len(got) != 1 || got[0] != "1.2.3" {
			t.Errorf("the service was sent %q", got)
		}
		if told.method != quashv1.TokenService_Revoke_FullMethodName {
			t.Errorf("it was said to be a call of %q", told.method)
		}
	})
}

type takingASecond struct {
	quashv1.UnimplementedTokenServiceServer

	md metadata.MD
}

func (s *takingASecond) Revoke(ctx context.Context, req *quashv1.RevokeRequest) (*quashv1.RevokeResponse, error) {
	s.md, _ = metadata.FromIncomingContext(ctx)
	time.Sleep(time.Second)
	return s.UnimplementedTokenServiceServer.Revoke(ctx, req)
}

type onlyEnds struct {
	stats.Handler

	method string
	end    stats.End
}

func (o *onlyEnds) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	o.method = info.FullMethodName
	return ctx
}

func (o *onlyEnds) HandleRPC(_ context.Context, event stats.RPCStats) {
	if end, ok := event.(*stats.End); ok {
		o.end = *end
	}
}
