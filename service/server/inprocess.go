package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	quashv1 "github.com/quashdev/quash/gen/quash/v1"
)

// inProcess is the client with which REST calls the service. A call runs on the caller's
// goroutine, through the same interceptors and stats handler as a gRPC call. It returns
// soon after its context ends, because the handler does.
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
			return svc.Revoke(ctx, req.(*quashv1.RevokeRequest)) //nolint:forcetypeassert // only Revoke below calls it
		},
		info:  &grpc.UnaryServerInfo{Server: svc, FullMethod: quashv1.TokenService_Revoke_FullMethodName},
		stats: statsHandler,
	}
}

// Revoke implements quashv1.TokenServiceClient. The outgoing metadata of ctx becomes the
// call's incoming metadata. Call options are ignored: they concern the network, headers and
// trailers, and REST forwards no headers or trailers of the RPC.
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
	return resp.(*quashv1.RevokeResponse), nil //nolint:forcetypeassert // the RPC's response type
}
