package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// inProcess is the client that REST calls the service with. A call runs where it is
// made, through all that a call over gRPC runs through, and ends with the context that
// it is made with: the handler is one that returns soon after.
type inProcess struct {
	intercept grpc.UnaryServerInterceptor
	handler   grpc.UnaryHandler
	info      *grpc.UnaryServerInfo
	stats     stats.Handler
}

func newInProcess(svc quashv1.TokenServiceServer, intercept grpc.UnaryServerInterceptor, statsHandler stats.Handler) *inProcess {
	return &inProcess{
		intercept: intercept,
		handler: func(ctx context.Context, req any) (any, error) {
			return svc.Revoke(ctx, req.(*quashv1.RevokeRequest)) //nolint:forcetypeassert // it comes from below
		},
		info:  &grpc.UnaryServerInfo{Server: svc, FullMethod: quashv1.TokenService_Revoke_FullMethodName},
		stats: statsHandler,
	}
}

// Revoke implements quashv1.TokenServiceClient. The metadata that ctx has for a server
// is what the call comes with. Options are for what a call has to do with a network, and
// for headers and trailers, of which REST passes on none.
func (c *inProcess) Revoke(ctx context.Context, req *quashv1.RevokeRequest, _ ...grpc.CallOption) (*quashv1.RevokeResponse, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	ctx = metadata.NewIncomingContext(ctx, md)
	ctx = c.stats.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: c.info.FullMethod})
	begun := time.Now()
	resp, err := c.intercept(ctx, req, c.info, c.handler)
	c.stats.HandleRPC(ctx, &stats.End{BeginTime: begun, EndTime: time.Now(), Error: err})
	if err != nil {
		return nil, err
	}
	return resp.(*quashv1.RevokeResponse), nil //nolint:forcetypeassert // so the RPC has it
}
